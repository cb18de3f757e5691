"""The small part of the tar format that a bundle uses: regular files with plain ustar headers, one way to write each.

A header follows from name and size alone, so a reader compares it whole with the one it expects; :func:`diagnose` says
in words what an unexpected one is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
MAX_SIZE: Final = 0o77777777777

_KINDS: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"5": "a directory",
    b"6": "a named pipe",
    b"S": "a sparse file",
    b"L": "a long-name record",
    b"K": "a long-link record",
    b"x": "a pax record",
    b"g": "a global pax record",
}


def header(name: str, size: int) -> bytes:
    """The header of a regular file: mode 644, owner 0, time 0."""
    assert 0 <= size <= MAX_SIZE
    encoded = name.encode("ascii")
    assert len(encoded) < 100
    fields = bytearray(BLOCK)
    fields[0 : len(encoded)] = encoded
    fields[100:108] = b"0000644\0"
    fields[108:116] = b"0000000\0"
    fields[116:124] = b"0000000\0"
    fields[124:136] = b"%011o\0" % size
    fields[136:148] = b"00000000000\0"
    fields[156:157] = b"0"
    fields[257:265] = b"ustar\x0000"
    fields[329:337] = b"0000000\0"
    fields[337:345] = b"0000000\0"
    fields[148:156] = b"%06o\0 " % _checksum(fields)
    return bytes(fields)


def padding(size: int) -> int:
    """Zero bytes after a content of that size."""
    return -size % BLOCK


@dataclass(frozen=True)
class Found:
    """What a header says that is not the expected one. Nothing of it is trusted."""

    name: str
    kind: str
    """Empty for a regular file."""
    size: int | None
    intact: bool
    """Whether the checksum is right."""


def diagnose(block: bytes) -> Found:
    """What an unexpected header seems to be."""
    name = block[0:100].split(b"\0", 1)[0].decode("ascii", "replace")
    prefix = block[345:500].split(b"\0", 1)[0].decode("ascii", "replace")
    if prefix and block[257:263] == b"ustar\0":
        name = f"{prefix}/{name}"
    flag = block[156:157]
    kind = "" if flag in (b"0", b"\0", b"7") else _KINDS.get(flag, "a member of an unknown kind")
    try:
        recorded: int | None = int(block[148:156].strip(b"\0 "), 8)
    except ValueError:
        recorded = None
    return Found(_shown(name), kind, octal(block[124:136]), recorded == _checksum(block))


def octal(field: bytes) -> int | None:
    """The value of a numeric field, or None for anything but plain octal digits."""
    digits = field.strip(b"\0 ")
    if not digits or len(digits) > 11 or any(d not in b"01234567" for d in digits):
        return None
    return int(digits, 8)


def _checksum(block: bytes | bytearray) -> int:
    return sum(block[:148]) + 8 * ord(" ") + sum(block[156:])


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)
