"""An endpoint at work: a blocking byte stream both ways over a port, for :mod:`lading_agent.wire`.

Two threads: one waits for bytes of the port, the other writes what the endpoint has to say and waits for its moments.
Readers and writers wait on a condition. What is written may be deflated on its way; each write can be inflated at once.
"""

from __future__ import annotations

import threading
import time
import zlib
from typing import TYPE_CHECKING, Callable, Final, Optional, Protocol

from lading_agent.line.endpoint import Endpoint, LineSettings

if TYPE_CHECKING:
    from lading_agent.line.frames import LineFrame

READ_SIZE: Final = 4096
WAIT_S: Final = 0.25
"""How long the reading thread stays in one read of the port."""
LAST_WAIT_S: Final = 0.02
"""The same once both directions have ended: whoever closes the stream waits for it."""
QUEUED: Final = 64 * 1024
"""Octets that wait to be acknowledged before a writer has to wait."""
DEFLATE_PIECE: Final = 16 * 1024
INFLATE_PIECE: Final = 64 * 1024


class Port(Protocol):
    """What a line hangs on."""

    def read(self, limit: int, timeout_s: float) -> bytes:
        """1 to ``limit`` bytes; none when the time is over. Raises ``OSError`` when the port is gone."""

    def write(self, data: bytes) -> None:
        """Hand over all of ``data``; waits as long as the port does. Raises ``OSError`` when the port is gone."""


class LineClosed(OSError):
    """The line is lost, or was closed; the message says why."""


class LineStream:
    """A reliable stream over a port; the port stays the caller's.

    Args:
        port: the line.
        opens: whether this end opens the session.
        settings: sizes and times.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        port: Port,
        *,
        opens: bool,
        settings: Optional[LineSettings] = None,
        clock: Callable[[], float] = time.monotonic,
        first: bytes = b"",
    ) -> None:
        self._port = port
        self._clock = clock
        self._settings = settings or LineSettings()
        self._endpoint = Endpoint(opens=opens, settings=self._settings, now=clock())
        if first:
            self._endpoint.feed(first, clock())
        self._changed = threading.Condition()
        self._stopping = False
        self._broken: Optional[str] = None
        self._deflater: Optional[zlib._Compress] = None
        self._inflater: Optional[zlib._Decompress] = None
        self._inflated = b""
        self._writing = threading.Lock()
        self.sent_bytes = 0
        """Octets handed to the port."""
        self._threads = [
            threading.Thread(target=self._listen, name="line-reader", daemon=True),
            threading.Thread(target=self._speak, name="line-writer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def noise(self) -> str:
        """The end of what came besides frames: what a kernel or a shell wrote on the line."""
        with self._changed:
            return self._endpoint.noise.decode("utf-8", "replace")

    @property
    def next_session(self) -> Optional[LineFrame]:
        """The ``OPEN`` of another client that ended this session."""
        return self._endpoint.next_session

    @property
    def left(self) -> bool:
        """Whether the other end asked this one to give the line back."""
        return self._endpoint.left

    @property
    def heard_at(self) -> float:
        """When the other end's last frame came, on this stream's clock."""
        return self._endpoint.heard_at

    @property
    def repeated_bytes(self) -> int:
        """Octets of the stream that went out more than once."""
        return self._endpoint.sender.repeated_bytes if self._endpoint.is_open else 0

    def wait_open(self, timeout_s: Optional[float] = None) -> bool:
        """Wait for the other end; False when it does not answer in time.

        Raises:
            LineClosed: the port is gone, the other end speaks another version, or it asked this one to go.
        """
        until = None if timeout_s is None else self._clock() + timeout_s
        with self._changed:
            while not self._endpoint.is_open:
                self._check()
                wait = WAIT_S if until is None else until - self._clock()
                if wait <= 0:
                    return False
                self._changed.wait(min(wait, WAIT_S))
        return True

    # -- the stream ---------------------------------------------------------------------------------------------------

    def read(self, limit: int, timeout_s: Optional[float] = None) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream, or when the time is over.

        Raises:
            LineClosed: the line is lost.
        """
        until = None if timeout_s is None else self._clock() + timeout_s
        while True:
            over = until is not None and self._clock() >= until
            data = b"" if over else self._more_inflated(limit)
            if data or over:
                return data
            with self._changed:
                receiver = self._endpoint.receiver
                while not receiver.readable and not receiver.ended:
                    self._check()
                    if until is not None and self._clock() >= until:
                        return b""
                    self._changed.wait(WAIT_S)
                if receiver.ended:
                    return b""
                deflated = self._endpoint.deflate
                raw = receiver.read(INFLATE_PIECE if deflated else limit)
                self._changed.notify_all()  # there may be room to tell of
            if not deflated:
                return raw
            if self._inflater is None:
                self._inflater = zlib.decompressobj()
            self._inflated = raw

    def _more_inflated(self, limit: int) -> bytes:
        """What the inflater gives of what was read; never more than ``limit`` at once, however far it swells."""
        if self._inflater is None:
            return b""
        try:
            data = self._inflater.decompress(self._inflated, limit)
        except zlib.error as error:
            raise LineClosed(f"the other end's data cannot be inflated: {error}") from None
        self._inflated = self._inflater.unconsumed_tail
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``; waits while too much is under way.

        Raises:
            LineClosed: the line is lost or closed.
        """
        with self._writing:
            view = memoryview(data)
            for at in range(0, len(view), DEFLATE_PIECE):
                piece = bytes(view[at : at + DEFLATE_PIECE])
                self._queue(self._deflated(piece, last=at + DEFLATE_PIECE >= len(view)))

    def _deflated(self, piece: bytes, *, last: bool) -> bytes:
        if not self._endpoint.deflate:
            return piece
        if self._deflater is None:
            self._deflater = zlib.compressobj(9)
        out = self._deflater.compress(piece)
        return out + self._deflater.flush(zlib.Z_SYNC_FLUSH) if last else out

    def _queue(self, data: bytes) -> None:
        with self._changed:
            while True:
                self._check()
                if self._endpoint.is_open and self._endpoint.sender.queued < QUEUED:
                    break
                self._changed.wait(WAIT_S)
            self._endpoint.sender.write(data)
            self._changed.notify_all()

    def settle(self, timeout_s: float = 5.0) -> bool:
        """Wait until the other end has all that was written; False when it does not in time."""
        until = self._clock() + timeout_s
        with self._changed:
            while not (self._endpoint.is_open and self._endpoint.sender.done):
                if self._endpoint.lost is not None or self._broken is not None or self._clock() >= until:
                    return False
                self._changed.wait(min(WAIT_S, max(0.001, until - self._clock())))
        return True

    def finish(self, timeout_s: float = 5.0) -> bool:
        """End what is written and wait for the other end to have all of it; False when it does not in time."""
        with self._changed:
            if not self._endpoint.is_open:
                return False
            self._endpoint.sender.finish()
            self._changed.notify_all()
        return self.settle(timeout_s)

    def close(self) -> None:
        """Stop both threads. What the other end has not acknowledged may be lost; what it is owed is said first."""
        until = self._clock() + 0.5
        with self._changed:
            while self._endpoint.owes and self._broken is None and self._clock() < until:
                self._changed.wait(0.01)
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)

    def _check(self) -> None:
        why = self._broken or self._endpoint.lost or ("the line was closed" if self._stopping else None)
        if why is None and self._endpoint.left:
            why = "the other end asked for the line back"
        if why is not None:
            raise LineClosed(why)

    # -- threads ------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        while not self._stopping:
            over = self._endpoint.is_open and self._endpoint.receiver.ended and self._endpoint.sender.done
            try:
                data = self._port.read(READ_SIZE, LAST_WAIT_S if over else WAIT_S)
            except (OSError, ValueError) as error:
                self._break(error)
                return
            if data:
                with self._changed:
                    self._endpoint.feed(data, self._clock())
                    self._changed.notify_all()

    def _speak(self) -> None:
        while True:
            with self._changed:
                output = b""
                while not self._stopping:
                    now = self._clock()
                    output = self._endpoint.next_output(now)
                    if output or self._endpoint.lost is not None:
                        break
                    self._changed.wait(max(0.0005, min(WAIT_S, self._endpoint.wake_at() - now)))
                if self._stopping or not output:
                    self._changed.notify_all()
                    return
            try:
                self._port.write(output)
            except (OSError, ValueError) as error:
                self._break(error)
                return
            self.sent_bytes += len(output)

    def _break(self, error: Exception) -> None:
        with self._changed:
            self._broken = f"the port is gone: {getattr(error, 'strerror', None) or error}"
            self._changed.notify_all()
