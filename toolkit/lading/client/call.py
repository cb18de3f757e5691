"""One request under way: its answers as they come, and what belongs to it on the way out."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lading.client.failures import from_agent
from lading.client.said import decoded
from lading.errors import LadingError, LinkLost
from lading_agent.wire.frames import CANCEL, CONTENT, DATA, ERROR, MESSAGE, REPLY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading.client.connection import Connection
    from lading_agent.wire.frames import Frame

WAITING_FRAMES: Final = 64
"""Data frames of a request that may wait for whoever reads them; then the link waits."""


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
        entry = self._next(wait)
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

    def _next(self, wait: bool) -> tuple[Frame, float] | None:
        while True:
            try:
                # A broken link is known last: what came before it is read first.
                if not wait or self._failure is not None:
                    return self._frames.get_nowait()
                return self._frames.get(timeout=self._connection.look())
            except queue.Empty:
                if not wait or self._failure is not None:
                    return None

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
