"""One connection: hello, then requests, each answered by a thread, until the client's end of the stream."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, Final, Mapping, Optional

from lading_agent.errors import AgentError, Cancelled, from_os_error
from lading_agent.keep.attend import attend
from lading_agent.serve import apps, confirm, engines, facts, keeping, probe, push, run, runtimes, service
from lading_agent.serve.device import Served
from lading_agent.serve.exchange import Exchange
from lading_agent.store.collect import sweep
from lading_agent.store.lock import SWEEP, locked
from lading_agent.wire import hello, messages
from lading_agent.wire.connection import FrameWriter
from lading_agent.wire.frames import (
    CANCEL,
    DATA,
    ERROR,
    HELLO,
    MAX_FRAME,
    MESSAGE,
    REPLY,
    REQUEST,
    Frame,
    FrameError,
    FrameReader,
)

Handler = Callable[[Served, Exchange], Dict[str, Any]]

HANDLERS: Final[Mapping[str, Handler]] = {
    "ping": apps.ping,
    "describe": apps.describe,
    "status": apps.status,
    "releases": apps.releases,
    "rollback": apps.rollback,
    "remove": apps.remove,
    "gc": apps.gc,
    "pin": apps.pin,
    "fetch": apps.fetch,
    "push": push.push,
    "run": run.run,
    "logs": keeping.logs,
    "stop": keeping.stop,
    "service": service.service,
    "confirm": confirm.confirm,
    "engines": engines.engines,
    "facts": facts.facts,
    "runtimes": runtimes.runtimes,
    "probe": probe.probe,
}

MAX_REQUESTS: Final = 16
"""Requests that one connection may have open at once."""


STOP_PATIENCE_S: Final = 30.0
"""How long requests may take to stop when the client is gone; after that the process ends without them."""


class Server:
    """Serves one device over one byte stream.

    Args:
        served: the device.
        read: returns 1 to ``limit`` bytes, or none at the end of the stream.
        write: takes all of the data, or raises ``OSError``.
        read_into: as ``read``, into a buffer.
    """

    def __init__(
        self,
        served: Served,
        read: Callable[[int], bytes],
        write: Callable[[bytes], None],
        read_into: Optional[Callable[[memoryview], int]] = None,
    ) -> None:
        self._served = served
        self._reader = FrameReader(read, read_into=read_into)
        self._writer = FrameWriter(write)
        self._exchanges: Dict[int, Exchange] = {}
        self._threads: Dict[int, threading.Thread] = {}
        self._lock = threading.Lock()
        self._owner: Mapping[str, Any] = {}

    def serve(self) -> int:
        """Serve until the client goes away.

        Returns:
            An exit status: 0 when the stream ended as it should.
        """
        try:
            self._served.layout.prepare()
            self._attend()
            self._sweep()
        except AgentError as error:
            if error.code == "agent-failed":  # without a store there is no device
                error.code = "unreachable"
            self._writer.hello(self._served.hello().to_json())
            self._last_words(error)
            return 1
        try:
            self._writer.hello(self._served.hello().to_json())
            if not self._greet():
                return 1
            while True:
                frame = self._reader.next()
                if frame is None:
                    return 0
                self._take(frame)
        except FrameError as error:
            self._last_words(AgentError("agent-failed", f"the client does not speak the protocol: {error.args[0]}"))
            return 1
        except OSError:
            return 1
        finally:
            self._stop()

    def _attend(self) -> None:
        """See to what goes on without a client; what cannot be done now stops nobody."""
        try:
            attend(self._served)
        except (AgentError, OSError) as error:
            sys.stderr.write(f"lading agent: {error}\n")
        except Exception:  # noqa: BLE001  a device that nobody could ask any more could not be put in order either
            traceback.print_exc(file=sys.stderr)

    def _sweep(self) -> None:
        """Clean what interrupted work left, unless somebody is at work right now."""
        try:
            with locked(self._served.layout.lock, {}, SWEEP):
                sweep(self._served.layout)
        except AgentError as error:
            if error.code != "lock-held":
                raise
        except OSError as error:
            failure = from_os_error(error, "the start-up sweep failed")
            if failure.code != "no-space":  # a full device must still say so, and let itself be cleared
                raise failure from error

    def _greet(self) -> bool:
        self._reader.skip_to_magic()
        frame = self._reader.next()
        if frame is None:
            return False
        if frame.kind != HELLO:
            raise FrameError("the first frame is not a hello")
        try:
            client = hello.parse(messages.decode(frame.payload), expect="client")
        except AgentError as error:
            self._last_words(error)
            return False
        self._owner = client.client
        self._reader.limit = MAX_FRAME
        self._writer.limit = max(1024, min(MAX_FRAME, client.limits.get("frame", self._writer.limit)))
        return True

    def _take(self, frame: Frame) -> None:
        if frame.kind == REQUEST:
            self._begin(frame)
            return
        with self._lock:
            exchange = self._exchanges.get(frame.request)
        if exchange is None:
            return  # it is over: what was under way for it is nobody's
        if frame.kind == CANCEL:
            exchange.cancel()
        elif frame.kind in (DATA, MESSAGE):
            exchange.put(frame)

    def _begin(self, frame: Frame) -> None:
        request = messages.decode(frame.payload)
        verb = request.get("verb")
        handler = HANDLERS.get(verb) if isinstance(verb, str) else None
        exchange = Exchange(frame.request, request, self._writer, self._owner)
        refusal = None
        with self._lock:
            if frame.request in self._exchanges or frame.request == 0:
                refusal = AgentError("usage", f"request number {frame.request} is in use", "update lading")
            elif handler is None:
                refusal = AgentError(
                    "version-mismatch",
                    f"this agent does not know the request {str(verb)[:64]!r}",
                    "update the agent on the device",
                )
            elif len(self._exchanges) >= MAX_REQUESTS:
                refusal = AgentError("device", f"{MAX_REQUESTS} requests are under way already", "wait for one to end")
            else:
                thread = threading.Thread(
                    target=self._answer, args=(handler, exchange), name=f"request-{verb}", daemon=True
                )
                self._exchanges[frame.request] = exchange
                self._threads[frame.request] = thread
                thread.start()
        if refusal is not None:
            self._writer.message(ERROR, frame.request, refusal.to_json())

    def _answer(self, handler: Handler, exchange: Exchange) -> None:
        kind, answer = ERROR, {}
        try:
            answer = handler(self._served, exchange)
            kind = REPLY
        except Cancelled as error:
            answer = error.to_json()
        except AgentError as error:
            answer = error.to_json()
        except OSError as error:
            answer = from_os_error(error, "the device's storage said no").to_json()
        except Exception as error:  # noqa: BLE001  the agent goes on answering, whatever a handler met
            traceback.print_exc(file=sys.stderr)
            answer = AgentError(
                "agent-failed", f"the agent failed: {type(error).__name__}: {error}", "please report this"
            ).to_json()
        finally:
            exchange.finish()
            with self._lock:
                self._exchanges.pop(exchange.number, None)
                self._threads.pop(exchange.number, None)
            self._send_end(kind, exchange.number, answer)

    def _send_end(self, kind: int, number: int, answer: Mapping[str, Any]) -> None:
        try:
            self._writer.message(kind, number, answer)
        except ValueError:
            too_long = AgentError("agent-failed", "the answer is longer than the client accepts", "update lading")
            self._last_words(too_long, number)
        except OSError:
            return  # the client is gone: the reader notices it, too

    def _last_words(self, error: AgentError, number: int = 0) -> None:
        try:
            self._writer.message(ERROR, number, error.to_json())
        except (OSError, ValueError):
            return

    def _stop(self) -> None:
        """The connection is over: end what is under way, and wait until it let go of everything."""
        with self._lock:
            exchanges, threads = list(self._exchanges.values()), list(self._threads.values())
        for exchange in exchanges:
            exchange.lose()
        patience = time.monotonic() + STOP_PATIENCE_S
        for thread in threads:
            thread.join(max(0.0, patience - time.monotonic()))
