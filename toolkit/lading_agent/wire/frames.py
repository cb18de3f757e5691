"""Frames: how messages and bulk data share one reliable byte stream.

A stream begins with :data:`MAGIC`, which its reader looks for amid whatever a login shell prints. Then come frames::

    0      1     2        4           8          12
    | 0xA5 | kind| channel| request   | length   | payload (length bytes) |      all numbers big-endian, unsigned

``request`` says which request a frame belongs to (0: the connection itself), ``channel`` which of its streams a data
frame carries. Messages are JSON objects, data frames raw bytes. No frame is longer than the limit that the reader named
in its hello, so that nobody makes a reader allocate more.
"""

from __future__ import annotations

import struct
from typing import Callable, Final, List, NamedTuple, Optional

MAGIC: Final = b"\x89LADING\r\n\x1a\n"
"""A byte that is not text, a name, and line ends that a line discipline would spoil: what arrives whole came clean."""

HEADER: Final = struct.Struct(">BBHII")
SYNC: Final = 0xA5

MAX_HELLO: Final = 64 * 1024
"""Longest frame before both hellos are known."""
MAX_FRAME: Final = 1024 * 1024
"""Longest payload that we accept after the hello."""
MAX_NOISE: Final = 256 * 1024
"""How much may precede the magic."""
CHUNK: Final = 256 * 1024
"""Payload of the data frames that we send, if the other side's limit allows it."""

HELLO: Final = 1
REQUEST: Final = 2
MESSAGE: Final = 3
DATA: Final = 4
REPLY: Final = 5
ERROR: Final = 6
CANCEL: Final = 7
KINDS: Final = frozenset((HELLO, REQUEST, MESSAGE, DATA, REPLY, ERROR, CANCEL))

CONTENT: Final = 0
STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
TENSOR: Final = 3

_READ_AHEAD = 64 * 1024


class FrameError(Exception):
    """The stream is not what the protocol says: nothing that follows can be understood."""


class Frame(NamedTuple):
    """One frame as it was read."""

    kind: int
    channel: int
    request: int
    payload: bytes


def header(kind: int, request: int, length: int, channel: int = 0) -> bytes:
    """The twelve bytes before a payload."""
    return HEADER.pack(SYNC, kind, channel, request, length)


class FrameReader:
    """Reads frames from ``read(limit)``, which returns 1 to ``limit`` bytes, or none at the end of the stream.

    Args:
        read: the stream.
        limit: the longest payload that is accepted.
        read_into: the same stream, read into a buffer: returns how many bytes came. Spares long payloads a copy.
    """

    def __init__(
        self,
        read: Callable[[int], bytes],
        limit: int = MAX_HELLO,
        read_into: Optional[Callable[[memoryview], int]] = None,
    ) -> None:
        self._read = read
        self._read_into = read_into
        self._ahead = b""
        self.limit = limit
        self.inside = False
        """Whether a frame has begun to come whose end is not there yet."""

    def skip_to_magic(self, most: int = MAX_NOISE) -> bytes:
        """Read up to and including the magic.

        Returns:
            What came before it.

        Raises:
            FrameError: it did not come within ``most`` bytes, or before the stream's end; ``args[1]`` is what came.
        """
        seen = bytearray()
        while True:
            chunk = self._read(_READ_AHEAD)
            searched = max(0, len(seen) - len(MAGIC) + 1)
            seen += chunk
            at = seen.find(MAGIC, searched)
            if at >= 0:
                self._ahead = bytes(seen[at + len(MAGIC) :])
                return bytes(seen[:at])
            if not chunk:
                raise FrameError("the stream ended before the agent protocol began", bytes(seen))
            if len(seen) > most:
                raise FrameError(f"no agent protocol within {most} bytes", bytes(seen))

    def next(self) -> Optional[Frame]:
        """The next frame; None when the stream ended between two frames.

        Raises:
            FrameError: the bytes are no frame, the frame is over the limit, or the stream ended inside it.
        """
        head = self._exactly(HEADER.size, may_end=True)
        if head is None:
            return None
        sync, kind, channel, request, length = HEADER.unpack(head)
        if sync != SYNC:
            raise FrameError(f"a frame begins with 0x{sync:02x}, not 0x{SYNC:02x}")
        if length > self.limit:
            raise FrameError(f"a frame of {length} bytes is over the limit of {self.limit}")
        payload = self._exactly(length, may_end=False)
        assert payload is not None
        self.inside = False
        return Frame(kind, channel, request, payload)

    def _exactly(self, count: int, *, may_end: bool) -> Optional[bytes]:
        ahead = self._ahead
        if len(ahead) >= count:
            self._ahead = ahead[count:]
            return ahead[:count]
        self._ahead = b""
        if self._read_into is not None and count > _READ_AHEAD:
            return self._filled(bytearray(count), ahead, self._read_into)
        parts: List[bytes] = [ahead]
        missing = count - len(ahead)
        while missing > 0:
            self.inside = not may_end or missing < count
            # Small frames are read ahead; the rest of a large one is read to its end and no further, without a copy.
            chunk = self._read(max(missing, 4096) if missing < 4096 else missing)
            if not chunk:
                if may_end and missing == count:
                    return None
                raise FrameError("the stream ended inside a frame")
            if len(chunk) > missing:
                self._ahead = chunk[missing:]
                chunk = chunk[:missing]
            parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)

    def _filled(self, buffer: bytearray, ahead: bytes, read_into: Callable[[memoryview], int]) -> bytes:
        at = len(ahead)
        buffer[:at] = ahead
        with memoryview(buffer) as view:
            while at < len(buffer):
                came = read_into(view[at:])
                if not came:
                    raise FrameError("the stream ended inside a frame")
                at += came
        return buffer  # type: ignore[return-value]  # as good as bytes: nobody changes it any more
