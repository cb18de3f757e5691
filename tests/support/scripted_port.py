"""The port of a line at whose other end is whatever a test makes up: a function of what was typed."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ScriptedPort:
    """A port in real time.

    Args:
        answer: what comes for everything that is written; it may keep its own state.
        more: asked when nothing is left to read; what it gives comes without being asked for.
        baud: what the port says of its speed.
    """

    description = "serial:///dev/ttyUSB0"

    def __init__(
        self,
        answer: Callable[[bytes], bytes],
        *,
        more: Callable[[], bytes] = lambda: b"",
        baud: int | None = 115200,
    ) -> None:
        self.baud = baud
        self.typed = bytearray()
        self.closed = False
        self._answer = answer
        self._more = more
        self._pending = bytearray()
        self._changed = threading.Condition()

    def read(self, limit: int, timeout_s: float) -> bytes:
        with self._changed:
            until = time.monotonic() + timeout_s
            while not self._pending:
                self._pending += self._more()
                left = until - time.monotonic()
                if self._pending or left <= 0:
                    break
                self._changed.wait(left)
            data = bytes(self._pending[:limit])
            del self._pending[: len(data)]
            return data

    def write(self, data: bytes) -> None:
        with self._changed:
            self.typed += data
            self._pending += self._answer(bytes(data))
            self._changed.notify_all()

    def set_baud(self, baud: int) -> None:
        self.baud = baud

    def close(self) -> None:
        self.closed = True


class SimulatedPort:
    """A port in simulated time: reading takes as long as the octets take on the line, or as nothing comes.

    Args:
        answer: what comes for everything that is written.
        flood: what comes when nothing else does; without end.
        hangs_up_after: octets that are read before the line is gone.
    """

    def __init__(
        self, answer: Callable[[bytes], bytes], *, flood: bytes = b"", hangs_up_after: int | None = None
    ) -> None:
        self.now = 0.0
        self.typed = bytearray()
        self._answer = answer
        self._flood = flood
        self._left = hangs_up_after
        self._pending = bytearray()

    def clock(self) -> float:
        return self.now

    def read(self, limit: int, timeout_s: float) -> bytes:
        if not self._pending:
            self._pending += self._flood
        if self._left is not None and self._left <= 0:
            raise OSError(errno.EIO, "Input/output error")
        data = bytes(self._pending[: min(limit, 1024)])
        if self._left is not None:
            self._left -= max(1, len(data))
        del self._pending[: len(data)]
        self.now += len(data) / 11520 if data else max(timeout_s, 0.001)
        return data

    def write(self, data: bytes) -> None:
        self.typed += data
        self._pending += self._answer(bytes(data))
