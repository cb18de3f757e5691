"""The client's end of the agent protocol: requests out, answers in, several at once."""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lading.client.failures import from_agent
from lading.client.said import decoded
from lading.errors import DeviceUnreachable, LadingError, LinkLost, VersionMismatch
from lading.links.base import Pouring
from lading_agent.errors import AgentError
from lading_agent.wire import hello as hellos
from lading_agent.wire import messages
from lading_agent.wire.connection import FrameWriter
from lading_agent.wire.frames import (
    CANCEL,
    CONTENT,
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lading.links.base import Link

FEATURES: Final = ("push", "run", "stdin", "fetch", "pins", "describe")
WAITING_FRAMES: Final = 64
"""Data frames of a request that may wait for whoever reads them; then the link waits."""


class Connection:
    """A connection to an agent. Opening it says hello and hears the agent's.

    Raises:
        DeviceUnreachable: nobody speaks the protocol at the other end.
        VersionMismatch: somebody does, in another version.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pour = link.pour if isinstance(link, Pouring) else None
        self._reader = FrameReader(link.read)
        self._writer = FrameWriter(link.write)
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._next = 1
        self._dead: LadingError | None = None
        self._closing = threading.Lock()
        self._closed = False
        self.round_trips = 0
        """Questions put to the device whose answer was waited for, after the hellos."""
        self.hello = self._greet()
        self._reader.limit = MAX_FRAME
        self._writer.limit = max(1024, min(MAX_FRAME, self.hello.limits.get("frame", self._writer.limit)))
        self._thread = threading.Thread(target=self._listen, name="agent-reader", daemon=True)
        self._thread.start()

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


class Call:
    """One request under way. Iterate over it for its events and data; then :attr:`reply` is there.

    A call that is left before its end is cancelled.
    """

    def __init__(self, connection: Connection, number: int, *, bounded: bool) -> None:
        self._connection = connection
        self.number = number
        self._frames: queue.Queue[tuple[Frame, float] | None] = queue.Queue(WAITING_FRAMES if bounded else 0)
        self.heard_at = 0.0
        """When the frame that was received last had come, by the monotonic clock."""
        self._reply: dict[str, Any] | None = None
        self._over = threading.Event()
        self._failure: LadingError | None = None

    def __enter__(self) -> Call:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reply is None and not self._over.is_set():
            with contextlib.suppress(LadingError):
                self.cancel()
        self._over.set()
        self._connection.forget(self)
        with contextlib.suppress(queue.Empty):  # lets the reader's thread go, should it wait for room
            while True:
                self._frames.get_nowait()

    def __iter__(self) -> Iterator[Frame]:
        """Yield messages and data up to the reply.

        Raises:
            LadingError: the agent refused, or the link broke.
        """
        while True:
            frame = self.receive()
            if frame is None:
                return
            yield frame

    def receive(self, *, wait: bool = True) -> Frame | None:
        """The next message or data frame; None after the reply, or when nothing is there and ``wait`` is false.

        Raises:
            LadingError: the agent refused, or the link broke.
        """
        if self._reply is not None:
            return None
        try:
            # A broken link is known last: what came before it is read first.
            entry = self._frames.get(block=wait and self._failure is None)
        except queue.Empty:
            entry = None
        if entry is None:
            if self._failure is not None:
                self._over.set()
                raise self._failure
            return None
        frame, self.heard_at = entry
        if frame.kind == REPLY:
            self._over.set()  # also when it cannot be read
            self._reply = decoded(frame.payload)
            return None
        if frame.kind == ERROR:
            self._over.set()
            raise from_agent(decoded(frame.payload))
        return frame

    @property
    def done(self) -> bool:
        """Whether the reply is there."""
        return self._reply is not None

    @property
    def reply(self) -> dict[str, Any]:
        """What the agent answered, once all frames were received."""
        assert self._reply is not None, "the call is not over"
        return self._reply

    def send(self, kind: int, payload: bytes | Mapping[str, Any], channel: int = CONTENT) -> None:
        """Send a message or data."""
        with self._said_before():
            self._connection.write(kind, self.number, payload, channel)

    @contextlib.contextmanager
    def _said_before(self) -> Iterator[None]:
        try:
            yield
        except LinkLost:
            # The agent may have said why before it went.
            with contextlib.suppress(queue.Empty):
                while True:
                    entry = self._frames.get_nowait()
                    if entry is not None and entry[0].kind == ERROR:
                        raise from_agent(decoded(entry[0].payload)) from None
            raise

    def tell(self, message: str, **members: Any) -> None:
        """Send a message of the request."""
        self.send(MESSAGE, {"message": message, **members})

    def data(self, payload: bytes, channel: int = CONTENT) -> None:
        """Send data of the request."""
        self.send(DATA, payload, channel)

    def pour(self, fd: int, offset: int, count: int) -> None:
        """Send a part of a file as data of the request; see :meth:`Connection.pour`."""
        with self._said_before():
            self._connection.pour(self.number, fd, offset, count)

    def cancel(self) -> None:
        """Ask the agent to stop; its reply still comes."""
        self.send(CANCEL, b"")

    # -- the reader's thread ------------------------------------------------------------------------------------------

    def put(self, frame: Frame) -> None:
        """Hand over a frame; waits for room."""
        entry = (frame, time.monotonic())
        while not self._over.is_set() and self._failure is None:
            try:
                self._frames.put(entry, timeout=0.2)
            except queue.Full:
                continue
            return

    def fail(self, error: LadingError) -> None:
        """The link broke: wake up who waits."""
        self._failure = error
        with contextlib.suppress(queue.Full):
            self._frames.put_nowait(None)


def identity() -> dict[str, Any]:
    """Who this client is, for the device's lock."""
    import getpass

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):
        user = str(os.getuid())
    return {"user": user, "host": platform.node(), "pid": os.getpid()}
