"""A release as one file: a header that names every piece, then the pieces that have no file of their own.

A small flash file system gives each file a whole erase block, so small pieces (bill, guest, small models) lie together;
large ones have a slot of their own, which releases share. All numbers are little-endian::

    0   4  "LDR1"
    4   4  octets of the header, checksum and all
    8   4  octets of the file
    12  1  number of pieces
    13  1  octets of the app's name, then of the release's id, then of the variant's
    16  …  these three texts
    …   …  for each piece: kind, slot (255: this file), octets of its name, 0; offset in its file (4), size (4),
           SHA-256 (32), name
    …   4  CRC-32 (IEEE) of everything before
"""

from __future__ import annotations

import binascii
import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from lading.firmware.pointer import MOST_SLOTS

MAGIC: Final = b"LDR1"
MOST_HEADER: Final = 64 * 1024
HERE: Final = 255

BILL: Final = 1
MODULE: Final = 2
MODEL: Final = 3
FILE: Final = 4
KINDS: Final = {BILL: "bill", MODULE: "module", MODEL: "model", FILE: "file"}

_HEAD: Final = struct.Struct("<4sIIBBBB")
_PIECE: Final = struct.Struct("<BBBBII32s")
_CRC: Final = struct.Struct("<I")


@dataclass(frozen=True)
class Piece:
    """One thing of a release."""

    kind: int
    name: str
    """As the guest names it: a model's reference, a file's path; empty for bill and module."""
    sha256: bytes
    size: int
    slot: int = HERE
    """The slot whose file it is; :data:`HERE` for one inside of the release file."""
    offset: int = 0

    @property
    def digest(self) -> str:
        """The digest as bills write it."""
        return f"sha256:{self.sha256.hex()}"


@dataclass(frozen=True)
class Header:
    """The head of a release file."""

    app: str
    release: str
    variant: str
    pieces: tuple[Piece, ...]
    file_size: int = 0

    def encode(self) -> bytes:
        """The header's octets.

        Raises:
            ValueError: a name is longer than 255 octets, or there are too many pieces.
        """
        texts = [text.encode() for text in (self.app, self.release, self.variant)]
        names = [piece.name.encode() for piece in self.pieces]
        if len(self.pieces) > 255 or any(len(text) > 255 for text in (*texts, *names)):
            raise ValueError("more than 255 pieces, or a name of more than 255 octets")
        body = b"".join(texts)
        for piece, name in zip(self.pieces, names, strict=True):
            body += _PIECE.pack(piece.kind, piece.slot, len(name), 0, piece.offset, piece.size, piece.sha256) + name
        size = _HEAD.size + len(body) + _CRC.size
        body = _HEAD.pack(MAGIC, size, self.file_size, len(self.pieces), *map(len, texts)) + body
        return body + _CRC.pack(binascii.crc32(body))

    @property
    def crc(self) -> int:
        """The header's checksum, which the pointer file repeats."""
        return int(_CRC.unpack(self.encode()[-4:])[0])


def header_size(beginning: bytes) -> int | None:
    """How long the header of a file is that begins so; None if it is no release file."""
    if len(beginning) < _HEAD.size or beginning[:4] != MAGIC:
        return None
    size = int(_HEAD.unpack_from(beginning)[1])
    return size if _HEAD.size + _CRC.size <= size <= MOST_HEADER else None


def decode(data: bytes) -> Header | None:
    """The header that ``data`` begins with; None if it is torn, damaged or none."""
    size = header_size(data)
    if size is None or len(data) < size:
        return None
    if binascii.crc32(data[: size - 4]) != _CRC.unpack_from(data, size - 4)[0]:
        return None
    _, _, file_size, count, *lengths = _HEAD.unpack_from(data)
    try:
        return _decode(data[: size - 4], file_size, count, lengths)
    except (struct.error, UnicodeDecodeError, ValueError):
        return None


def _decode(data: bytes, file_size: int, count: int, lengths: list[int]) -> Header:
    at = _HEAD.size
    texts = []
    for length in lengths:
        texts.append(_text(data, at, length))
        at += length
    pieces = []
    for _ in range(count):
        kind, slot, length, zero, offset, size, sha256 = _PIECE.unpack_from(data, at)
        at += _PIECE.size
        if kind not in KINDS or zero or (slot != HERE and slot >= MOST_SLOTS):
            raise ValueError("a piece that is none")
        if offset + size > file_size if slot == HERE else offset:
            raise ValueError("a piece outside of its file")
        pieces.append(Piece(kind, _text(data, at, length), sha256, size, slot, offset))
        at += length
    if at != len(data):
        raise ValueError("more than the pieces")
    return Header(texts[0], texts[1], texts[2], tuple(pieces), file_size)


def _text(data: bytes, at: int, length: int) -> str:
    if at + length > len(data):
        raise ValueError("a text outside of the header")
    return data[at : at + length].decode()


def sha256(data: bytes) -> bytes:
    """The digest of ``data``."""
    return hashlib.sha256(data).digest()
