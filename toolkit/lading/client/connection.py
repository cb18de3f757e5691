"""The client's end of the agent protocol: requests out, answers in, several at once."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lading.client.call import Call
from lading.client.failures import from_agent
from lading.errors import DeviceUnreachable, LadingError, LinkLost, TimedOut, VersionMismatch
from lading.links.base import Pouring
from lading_agent.errors import AgentError
from lading_agent.wire import hello as hellos
from lading_agent.wire import messages
from lading_agent.wire.connection import FrameWriter
from lading_agent.wire.frames import (
    CONTENT,
    DATA,
    ERROR,
    HELLO,
    MAX_FRAME,
    REQUEST,
    FrameError,
    FrameReader,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lading.links.base import Link

FEATURES: Final = ("push", "run", "stdin", "fetch", "pins", "describe")
FIRST_WORD_S: Final = 120.0
"""So long an agent may be silent before its hello is there: it puts the device in order before it says anything."""
PAUSE_S: Final = 60.0
"""So long nothing may come in the middle of a frame. Between two of them an agent may work for as long as it takes."""
LOOK_S: Final = 2.0


class Connection:
    """A connection to an agent. Opening it says hello and hears the agent's.

    Args:
        link: the way to it.
        first_word_s: how long it may be silent before its hello is there.
        pause_s: how long it may be silent in the middle of a frame.

    Raises:
        DeviceUnreachable: nobody speaks the protocol at the other end, or not in time.
        VersionMismatch: somebody does, in another version.
    """

    def __init__(self, link: Link, *, first_word_s: float = FIRST_WORD_S, pause_s: float = PAUSE_S) -> None:
        self._link = link
        self._first_word_s = first_word_s
        self._pause_s = pause_s
        self._look_s = min(LOOK_S, pause_s / 2)
        self._heard_at = time.monotonic()
        self._pour = link.pour if isinstance(link, Pouring) else None
        self._reader = FrameReader(self._read)
        self._writer = FrameWriter(link.write)
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._next = 1
        self._dead: LadingError | None = None
        self._closing = threading.Lock()
        self._closed = False
        self.round_trips = 0
        """Questions put to the device whose answer was waited for, after the hellos."""
        greeted: queue.Queue[hellos.Hello | BaseException] = queue.Queue()
        # The thread that reads is also the one that greets: somebody has to see that nothing comes.
        self._thread = threading.Thread(target=self._read_all, args=(greeted,), name="agent-reader", daemon=True)
        self._thread.start()
        self.hello = self._greeted(greeted)

    def _greeted(self, greeted: queue.Queue[hellos.Hello | BaseException]) -> hellos.Hello:
        while True:
            try:
                said = greeted.get(timeout=min(LOOK_S, self._first_word_s / 2))
            except queue.Empty:
                if time.monotonic() - self._heard_at > self._first_word_s:
                    raise TimedOut(
                        f"{self._link.description}: no agent answers: it was silent for {self._first_word_s:.0f} s",
                        remedy="see whether the device is overloaded or its storage is broken, and try again",
                        details={"said": self._link.complaint()[-2000:]},
                    ) from None
                continue
            if isinstance(said, BaseException):
                raise said
            return said

    def _read_all(self, greeted: queue.Queue[hellos.Hello | BaseException]) -> None:
        try:
            hello = self._greet()
            self._reader.limit = MAX_FRAME
            self._writer.limit = max(1024, min(MAX_FRAME, hello.limits.get("frame", self._writer.limit)))
        except BaseException as error:  # noqa: BLE001  whoever waits raises it
            greeted.put(error)
            return
        greeted.put(hello)
        self._listen()

    def _read(self, limit: int) -> bytes:
        data = self._link.read(limit)
        self._heard_at = time.monotonic()
        return data

    def _greet(self) -> hellos.Hello:
        mine = hellos.Hello(role="client", features=FEATURES, python=platform.python_version(), client=identity())
        try:
            # Both sides say hello at once. An agent that fails to start may be gone before it heard ours.
            with contextlib.suppress(BrokenPipeError):
                self._writer.hello(mine.to_json())
            self._reader.skip_to_magic()
            frame = self._reader.next()
        except FrameError as error:
            raise self._unreachable(str(error.args[0]), error.args[1] if len(error.args) > 1 else b"") from error
        except OSError as error:
            raise self._unreachable(error.strerror or str(error), b"") from error
        if frame is None or frame.kind != HELLO:
            raise self._unreachable("it does not say hello", b"")
        try:
            return hellos.parse(messages.decode(frame.payload), expect="agent")
        except AgentError as error:
            raise VersionMismatch(f"{self._link.description}: {error.message}", remedy=error.remedy) from None
        except FrameError as error:
            raise self._unreachable(str(error.args[0]), b"") from error

    def _unreachable(self, why: str, said: bytes) -> DeviceUnreachable:
        heard = said.decode("utf-8", "replace").strip() or self._link.complaint()
        last = heard.splitlines()[-1][:300] if heard else ""
        return DeviceUnreachable(
            f"{self._link.description}: no agent answers: {why}" + (f" (it said: {last})" if last else ""),
            remedy="see what the device says, and whether the agent is installed there",
            details={"said": heard[-2000:]},
        )

    def call(self, verb: str, request: Mapping[str, Any], *, bounded: bool = True) -> Call:
        """Send a request.

        Args:
            verb: the request's name.
            request: its members.
            bounded: whether the link waits for a slow reader of the answers.
        """
        with self._lock:
            if self._dead is not None:
                raise self._dead
            call = Call(self, self._next, bounded=bounded)
            self._next += 1
            self._calls[call.number] = call
        call.send(REQUEST, {"verb": verb, **request})
        return call

    def ask(self, verb: str, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its reply; one round trip."""
        with self.call(verb, request) as call:
            self.round_trips += 1
            for _ in call:
                pass
            return call.reply

    def close(self) -> None:
        """End the connection; the agent stops what is under way."""
        with self._closing:
            self._fail(LinkLost(f"{self._link.description}: the connection was closed"))
            if not self._closed:
                self._closed = True
                self._link.close()
        self._thread.join(5.0)

    def look(self) -> float:
        """See whether the other end fell silent where it may not; the call that waits is told then.

        Returns:
            After how many seconds to look again.
        """
        if self._reader.inside and time.monotonic() - self._heard_at > self._pause_s:
            self._fail(self._link_lost(f"the agent fell silent for {self._pause_s:.0f} s in the middle of an answer"))
        return self._look_s

    # -- for calls ----------------------------------------------------------------------------------------------------

    def forget(self, call: Call) -> None:
        """A call is over."""
        with self._lock:
            self._calls.pop(call.number, None)

    def write(self, kind: int, number: int, payload: bytes | Mapping[str, Any], channel: int = CONTENT) -> None:
        """Send a message or data of a call.

        Raises:
            LinkLost: the link is broken.
        """
        try:
            if isinstance(payload, bytes):
                self._writer.data(kind, number, payload, channel)
            else:
                self._writer.message(kind, number, payload)
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        except ValueError as error:
            raise VersionMismatch(f"{self._link.description}: {error}", remedy="update the agent") from error

    @contextlib.contextmanager
    def together(self) -> Iterator[Callable[[], None]]:
        """Let short frames go out together; yields what sends those that wait, to be called before waiting.

        Raises:
            LinkLost: the link is broken.
        """
        self._writer.hold()
        try:
            yield lambda: self._out(self._writer.flush)
        except BaseException:
            with contextlib.suppress(OSError):
                self._writer.let_go()
            raise
        self._out(self._writer.let_go)

    def _out(self, send: Callable[[], None]) -> None:
        try:
            send()
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error

    @property
    def pours(self) -> bool:
        """Whether parts of files can be sent without being read here."""
        return self._pour is not None

    def pour(self, number: int, fd: int, offset: int, count: int) -> None:
        """Send a part of a file as data of a call; it fits into one frame.

        Raises:
            LinkLost: the link is broken.
            EOFError: the file ends before; the connection cannot be used any more.
        """
        pour = self._pour
        assert pour is not None, "the link does not pour"
        try:
            self._writer.poured(DATA, number, count, lambda: pour(fd, offset, count))
        except OSError as error:
            raise self._lost(error.strerror or str(error)) from error
        except EOFError:
            self._fail(self._link_lost("it broke in the middle of a file"))
            raise

    def _lost(self, why: str) -> LadingError:
        """The error for a broken link: what the agent said before it went counts more."""
        self._thread.join(1.0)
        return self._dead or LinkLost(
            f"{self._link.description}: the link is gone: {why}",
            remedy="try again: the device is on its old release or on the new one, and a push goes on where it was",
        )

    # -- the reader's thread ------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        error: LadingError
        try:
            while (frame := self._reader.next()) is not None:
                if frame.request == 0 and frame.kind == ERROR:
                    self._fail(from_agent(messages.decode(frame.payload)))
                    return
                with self._lock:
                    call = self._calls.get(frame.request)
                if call is not None:
                    call.put(frame)
            complaint = self._link.complaint()
            last = f" (it said: {complaint.splitlines()[-1][:300]})" if complaint else ""
            error = self._link_lost(f"the agent is gone{last}")
        except FrameError as failure:
            error = self._link_lost(str(failure.args[0]))
        except (OSError, ValueError) as failure:
            error = self._link_lost(str(failure))
        except Exception as failure:  # noqa: BLE001  calls would wait for ever for a reader that is gone
            error = self._link_lost(f"{type(failure).__name__}: {failure}")
        self._fail(error)

    def _link_lost(self, why: str) -> LinkLost:
        return LinkLost(
            f"{self._link.description}: {why}",
            remedy="try again: the device is on its old release or on the new one, and a push goes on where it was",
        )

    def _fail(self, error: LadingError) -> None:
        with self._lock:
            if self._dead is None:
                self._dead = error
            calls = list(self._calls.values())
        for call in calls:
            call.fail(self._dead)


def identity() -> dict[str, Any]:
    """Who this client is, for the device's lock."""
    import getpass

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return {"user": user, "host": platform.node(), "pid": os.getpid()}
