"""The two pointer files: which releases a microcontroller holds, and which of them is current.

The management protocol can neither rename nor delete. So there are two pointer files; the one with the newer sequence
number counts, if its checksum is right, and a new one is written over the other. All numbers are little-endian::

    0   4  "LDP1"
    4   4  sequence number; the newer of two is the one less than half the range ahead
    8   1  number of entries, at most 31
    9   3  0
    12  8  for each entry: slot, flags, 0, 0, and 4 octets: the checksum of the release file's header
    …   4  CRC-32 (IEEE) of everything before
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from typing import Final

MAGIC: Final = b"LDP1"
MOST_ENTRIES: Final = 31
MOST_SLOTS: Final = 255
MOST_BYTES: Final = 12 + 8 * MOST_ENTRIES + 4

CURRENT: Final = 1
PREVIOUS: Final = 2
PINNED: Final = 4

_HEAD: Final = struct.Struct("<4sIB3x")
_ENTRY: Final = struct.Struct("<BBHI")
_CRC: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Entry:
    """One release."""

    slot: int
    """The slot of its release file."""
    flags: int
    """:data:`CURRENT` (one for each app), :data:`PREVIOUS`, :data:`PINNED`."""
    header_crc: int
    """The checksum of its release file's header: a slot that was written over is not the release any more."""


@dataclass(frozen=True)
class Pointer:
    """What a pointer file says."""

    sequence: int
    entries: tuple[Entry, ...] = ()

    def encode(self) -> bytes:
        """The file's content."""
        body = _HEAD.pack(MAGIC, self.sequence, len(self.entries))
        body += b"".join(_ENTRY.pack(entry.slot, entry.flags, 0, entry.header_crc) for entry in self.entries)
        return body + _CRC.pack(binascii.crc32(body))


def decode(data: bytes) -> Pointer | None:
    """What a file says; None for one that is torn, damaged or empty."""
    if not _HEAD.size + _CRC.size <= len(data) <= MOST_BYTES or data[:4] != MAGIC:
        return None
    _, sequence, count = _HEAD.unpack_from(data)
    if count > MOST_ENTRIES or len(data) != _HEAD.size + _ENTRY.size * count + _CRC.size or any(data[9:12]):
        return None
    if binascii.crc32(data[:-4]) != _CRC.unpack_from(data, len(data) - 4)[0]:
        return None
    entries = []
    for number in range(count):
        slot, flags, zero, crc = _ENTRY.unpack_from(data, _HEAD.size + _ENTRY.size * number)
        if slot >= MOST_SLOTS or zero:
            return None
        entries.append(Entry(slot, flags, crc))
    return Pointer(sequence, tuple(entries))


def newer(one: int, other: int) -> bool:
    """Whether a sequence number comes after another; they go around."""
    return 0 < (one - other) & 0xFFFFFFFF < 0x80000000


def choose(first: bytes | None, second: bytes | None) -> tuple[int, Pointer] | None:
    """The file that counts (0 or 1) and what it says; None if neither is one."""
    read = [decode(data) if data is not None else None for data in (first, second)]
    zero, one = read
    if zero is not None and one is not None:
        return (1, one) if newer(one.sequence, zero.sequence) else (0, zero)
    if zero is not None:
        return 0, zero
    return None if one is None else (1, one)
