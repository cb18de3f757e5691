"""Frames on a line that changes, loses and repeats bytes, and on which others write too (a kernel, a login shell).

::

    0    2      3     4      6        10       12     14
    | D4 4C | kind | tag | turn | number | length | hcrc | payload: length bytes | CRC-32 |     numbers big-endian

``hcrc`` is CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF) of the ten bytes before it, the CRC-32 (that of zlib)
covers these ten bytes and the payload. A reader that meets anything else goes on one byte behind the false start, so
that a frame is found even inside of what a lost byte made look like another one's payload.
"""

from __future__ import annotations

import binascii
import struct
from typing import Final, List, NamedTuple

SYNC: Final = b"\xd4\x4c"
FIELDS: Final = struct.Struct(">BBHIH")
HEAD: Final = len(SYNC) + FIELDS.size + 2
OVERHEAD: Final = HEAD + 4
"""Octets of a frame besides its payload."""

MAX_PAYLOAD: Final = 4096
"""No frame is longer, whatever was agreed."""
KEPT_NOISE: Final = 4096

OPEN: Final = 1
OPENED: Final = 2
DATA: Final = 3
ACK: Final = 4
LEAVE: Final = 5
ASK: Final = 6
KINDS: Final = frozenset((OPEN, OPENED, DATA, ACK, LEAVE, ASK))


class LineFrame(NamedTuple):
    """One frame."""

    kind: int
    tag: int
    """Tells one session on the line from an earlier one."""
    turn: int
    """Counts transmissions, repeated ones too, modulo 2**16: the line keeps their order."""
    number: int
    """An offset in the stream, modulo 2**32."""
    payload: bytes = b""

    def encode(self) -> bytes:
        """The frame's bytes."""
        fields = FIELDS.pack(self.kind, self.tag, self.turn, self.number, len(self.payload))
        crc = binascii.crc32(self.payload, binascii.crc32(fields))
        return b"".join(
            (SYNC, fields, struct.pack(">H", binascii.crc_hqx(fields, 0xFFFF)), self.payload, struct.pack(">I", crc))
        )


class Decoder:
    """Finds the frames in whatever comes. Keeps no more than one frame and the end of what was none."""

    def __init__(self, limit: int = MAX_PAYLOAD) -> None:
        self._buffer = bytearray()
        self._noise = bytearray()
        self.limit = limit
        """Longest payload that counts as a frame."""
        self.damaged = 0
        """Frames that had a right header and a wrong checksum."""

    @property
    def pending(self) -> bool:
        """Whether something came that may become a frame."""
        return bool(self._buffer)

    @property
    def noise(self) -> bytes:
        """The end of what came and was no frame: kernel messages, a shell's words."""
        return bytes(self._noise)

    def feed(self, data: bytes) -> List[LineFrame]:
        """Take what came; return the frames that are complete."""
        found: List[LineFrame] = []
        for at in range(0, len(data), MAX_PAYLOAD):
            self._buffer += data[at : at + MAX_PAYLOAD]
            self._scan(found, 0)
        return found

    def idle(self) -> List[LineFrame]:
        """Nothing came for a while: what looked like the beginning of a frame was cut short, or was none."""
        found: List[LineFrame] = []
        if self._buffer:
            self._drop(0, 1)
            self._scan(found, 1)
        return found

    def _scan(self, found: List[LineFrame], at: int) -> None:
        buffer = self._buffer
        while True:
            start = buffer.find(SYNC, at)
            if start < 0:
                start = len(buffer) - (1 if buffer.endswith(SYNC[:1]) and len(buffer) > at else 0)
                self._drop(at, start)
                at = start
                break
            self._drop(at, start)
            at = start
            if len(buffer) - at < HEAD:
                break
            fields = bytes(buffer[at + len(SYNC) : at + HEAD - 2])
            kind, tag, turn, number, length = FIELDS.unpack(fields)
            header_crc = int.from_bytes(buffer[at + HEAD - 2 : at + HEAD], "big")
            if header_crc != binascii.crc_hqx(fields, 0xFFFF) or length > self.limit or kind not in KINDS:
                self._drop(at, at + 1)
                at += 1
                continue
            end = at + OVERHEAD + length
            if len(buffer) < end:
                break
            payload = bytes(buffer[at + HEAD : end - 4])
            if int.from_bytes(buffer[end - 4 : end], "big") == binascii.crc32(payload, binascii.crc32(fields)):
                found.append(LineFrame(kind, tag, turn, number, payload))
                at = end
            else:
                self.damaged += 1
                self._drop(at, at + 1)
                at += 1
        del buffer[:at]

    def _drop(self, begin: int, end: int) -> None:
        if end > begin:
            self._noise += self._buffer[begin:end]
            del self._noise[:-KEPT_NOISE]
