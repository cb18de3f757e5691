"""The firmware's own reader (docs/firmware/lading_store.c), compiled for this machine."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

from lading.firmware.pointer import MOST_ENTRIES, Entry, Pointer
from lading.firmware.release_file import Header, Piece
from tests.support.programs import need

SOURCE = Path(__file__).resolve().parents[2] / "docs" / "firmware" / "lading_store.c"
STRICT = ("-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror", "-O2")


class _Entry(ctypes.Structure):
    _fields_ = (("slot", ctypes.c_uint8), ("flags", ctypes.c_uint8), ("header_crc", ctypes.c_uint32))


class _Pointer(ctypes.Structure):
    _fields_ = (("sequence", ctypes.c_uint32), ("count", ctypes.c_uint8), ("entries", _Entry * MOST_ENTRIES))

    def value(self) -> Pointer:
        entries = (self.entries[number] for number in range(self.count))
        return Pointer(self.sequence, tuple(Entry(e.slot, e.flags, e.header_crc) for e in entries))


class _Text(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_uint8))

    def value(self) -> str:
        return ctypes.string_at(self.data, self.size).decode() if self.size else ""


class _Release(ctypes.Structure):
    _fields_ = (
        ("app", _Text),
        ("release", _Text),
        ("variant", _Text),
        ("file_size", ctypes.c_uint32),
        ("pieces", ctypes.c_uint8),
        ("first", ctypes.c_void_p),
        ("end", ctypes.c_void_p),
    )


class _Piece(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_uint8),
        ("slot", ctypes.c_uint8),
        ("offset", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        ("sha256", ctypes.c_void_p),
        ("name", _Text),
    )


class CStore:
    """The reader, compiled with every warning an error."""

    def __init__(self, folder: Path) -> None:
        library = folder / "store.so"
        subprocess.run([need("gcc"), *STRICT, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
        self._c = ctypes.CDLL(str(library))
        self._c.lading_pointer_read.restype = ctypes.c_bool
        self._c.lading_release_read.restype = ctypes.c_bool
        self._c.lading_release_next.restype = ctypes.c_bool

    def pointer(self, data: bytes) -> Pointer | None:
        out = _Pointer()
        read = self._c.lading_pointer_read(_exactly(data), ctypes.c_size_t(len(data)), ctypes.byref(out))
        return out.value() if read else None

    def choose(self, first: bytes, second: bytes) -> tuple[int, Pointer] | None:
        out = _Pointer()
        which = self._c.lading_pointer_choose(
            _exactly(first),
            ctypes.c_size_t(len(first)),
            _exactly(second),
            ctypes.c_size_t(len(second)),
            ctypes.byref(out),
        )
        return None if which < 0 else (which, out.value())

    def release(self, data: bytes, crc: int) -> Header | None:
        out, buffer = _Release(), _exactly(data)
        if not self._c.lading_release_read(buffer, ctypes.c_size_t(len(data)), ctypes.c_uint32(crc), ctypes.byref(out)):
            return None
        at = ctypes.c_void_p(out.first)
        pieces = []
        piece = _Piece()
        while self._c.lading_release_next(ctypes.byref(out), ctypes.byref(at), ctypes.byref(piece)):
            sha256 = ctypes.string_at(piece.sha256, 32)
            pieces.append(Piece(piece.kind, piece.name.value(), sha256, piece.size, piece.slot, piece.offset))
        assert len(pieces) == out.pieces
        texts = (out.app.value(), out.release.value(), out.variant.value())
        return Header(*texts, tuple(pieces), out.file_size)


def _exactly(data: bytes) -> ctypes.Array[ctypes.c_char]:
    """The bytes without the zero that Python puts after them."""
    return (ctypes.c_char * len(data)).from_buffer_copy(data)
