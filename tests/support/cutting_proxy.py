"""A TCP relay on loopback that cuts a connection after so many octets, counted to the octet over both directions."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 16


class CuttingProxy:
    """Relays connections to a port of this machine, one at a time.

    Args:
        port: where they lead.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = []
        self._limit: int | None = None
        self._reset = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        """Where it listens."""
        self.up = 0
        """Octets of the connection at hand that arrived at the server."""
        self.down = 0
        """Octets of it that were sent to the client."""
        self.was_cut = False
        """Whether it was cut."""
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def arm(self, limit: int | None, *, reset: bool = False) -> None:
        """Cut the next connection after ``limit`` octets; None: never.

        Args:
            limit: octets, either way together.
            reset: whether both ends are told by a reset, or by an ordinary end of the stream.
        """
        self.hang_up()
        with self._lock:
            self._limit, self._reset = limit, reset
            self.up = self.down = 0
            self.was_cut = False

    def cut(self) -> None:
        """Cut the connection at hand now."""
        with self._lock:
            self._cut()

    def hang_up(self) -> None:
        """See the connection at hand off."""
        with self._lock:
            ends = list(self._ends)
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10.0)
            assert not thread.is_alive()
        self._threads = []

    def close(self) -> None:
        """Relay no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(10.0)
        self.hang_up()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._ends = [near, far]
            ways = [
                threading.Thread(target=self._relay, args=(*ends, up), daemon=True)
                for *ends, up in ((near, far, True), (far, near, False))
            ]
            for way in ways:
                way.start()
            over = threading.Thread(target=self._see_off, args=(near, far, ways), daemon=True)
            over.start()
            self._threads = [over]

    def _relay(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(PIECE):
                if not self._pass_on(sink, data, up):
                    return
            sink.shutdown(socket.SHUT_WR)

    def _pass_on(self, sink: socket.socket, data: bytes, up: bool) -> bool:
        with self._lock:
            if self.was_cut:
                return False
            last = self._limit is not None and self.up + self.down + len(data) >= self._limit
            if last and self._limit is not None:
                data = data[: self._limit - self.up - self.down]
            if up:
                self.up += len(data)
            else:
                self.down += len(data)
            if last:
                sink.sendall(data)
                self._cut()
                return False
        sink.sendall(data)
        return True

    def _cut(self) -> None:
        if self.was_cut or not self._ends:
            return
        self.was_cut = True
        _, far = self._ends
        if self._reset:
            # A reset throws away what the other end has not taken yet: that did not arrive.
            self.up -= struct.unpack("i", fcntl.ioctl(far, termios.TIOCOUTQ, bytes(4)))[0]
        for end in self._ends:
            with contextlib.suppress(OSError):
                if self._reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)

    def _see_off(self, near: socket.socket, far: socket.socket, ways: list[threading.Thread]) -> None:
        for way in ways:
            way.join()
        for end in (near, far):
            end.close()


@contextlib.contextmanager
def cutting(port: int) -> Iterator[CuttingProxy]:
    """A relay to ``port`` while the context lasts."""
    proxy = CuttingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
