"""The sending half of a connection, shared by threads: every frame goes out whole."""

from __future__ import annotations

import threading
from typing import Any, Callable, Final, Mapping, Optional

from lading_agent.wire import messages
from lading_agent.wire.frames import CHUNK, HELLO, MAGIC, MAX_HELLO, header

SHORT: Final = 8192
"""A payload up to this size is worth a copy, so that it goes out with its header."""
TOGETHER: Final = 64 * 1024
"""So many octets of short frames go out together."""


class FrameWriter:
    """Writes frames through ``write(data)``, which takes all of the data or raises ``OSError``."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._held: Optional[bytearray] = None
        self.limit = MAX_HELLO
        """Longest payload that the other side accepts."""

    def hold(self) -> None:
        """Let short frames wait, and go out together once they are worth it, until :meth:`let_go`."""
        with self._lock:
            if self._held is None:
                self._held = bytearray()

    def flush(self) -> None:
        """Send what waits.

        Raises:
            OSError: the link is broken.
        """
        with self._lock:
            self._flush()

    def let_go(self) -> None:
        """Send what waits; from now on frames go out at once.

        Raises:
            OSError: the link is broken.
        """
        with self._lock:
            self._flush()
            self._held = None

    def hello(self, doc: Mapping[str, Any]) -> None:
        """Begin the stream: the magic, then the hello."""
        payload = messages.encode(doc)
        with self._lock:
            self._write(MAGIC + header(HELLO, 0, len(payload)) + payload)

    def message(self, kind: int, request: int, doc: Mapping[str, Any]) -> None:
        """Send a JSON message.

        Raises:
            ValueError: it is longer than the other side accepts.
            OSError: the link is broken.
        """
        payload = messages.encode(doc)
        if len(payload) > self.limit:
            raise ValueError(f"a message of {len(payload)} bytes is over the other side's limit of {self.limit}")
        with self._lock:
            self._short(header(kind, request, len(payload)) + payload)

    def data(self, kind: int, request: int, payload: bytes, channel: int = 0) -> None:
        """Send bytes, in as many frames as the other side's limit asks for.

        Raises:
            OSError: the link is broken.
        """
        step = min(CHUNK, self.limit)
        if len(payload) <= step:
            with self._lock:
                self._send(kind, request, payload, channel)
            return
        view = memoryview(payload)
        for at in range(0, len(payload), step):
            with self._lock:
                self._send(kind, request, bytes(view[at : at + step]), channel)

    def poured(self, kind: int, request: int, count: int, pour: Callable[[], None], channel: int = 0) -> None:
        """Send a frame whose payload of ``count`` bytes, within the limit, is written by ``pour``.

        Raises:
            OSError: the link is broken.
        """
        with self._lock:
            self._flush()
            self._write(header(kind, request, count, channel))
            pour()

    def _send(self, kind: int, request: int, payload: bytes, channel: int) -> None:
        head = header(kind, request, len(payload), channel)
        if len(payload) <= SHORT:
            self._short(head + payload)
        else:
            self._flush()
            self._write(head)
            self._write(payload)

    def _short(self, frame: bytes) -> None:
        if self._held is None:
            self._write(frame)
            return
        self._held += frame
        if len(self._held) >= TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            held, self._held = bytes(self._held), bytearray()
            self._write(held)
