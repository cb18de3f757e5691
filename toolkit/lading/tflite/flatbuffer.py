"""FlatBuffers, read with a look at every offset before it is followed.

A file says nothing about itself that is believed: each table, vector and string is checked to lie inside the file, and
all that is read counts against a budget. Offsets may point anywhere, also several at one place, so that without a
budget a small file could stand for a huge model.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

from lading.errors import ModelError

_U16: Final = struct.Struct("<H")
_U32: Final = struct.Struct("<I")
_I32: Final = struct.Struct("<i")
_SCALARS: Final = {code: struct.Struct("<" + code) for code in ("b", "B", "?", "h", "H", "i", "I", "q", "Q", "f", "d")}
_REMEDY: Final = "the file is damaged or not made by a converter: copy or convert it again"

T = TypeVar("T", bound="Table")


class Damaged(ModelError):
    """Something in the file points where it cannot, at byte ``offset``."""

    def __init__(self, cause: str, offset: int) -> None:
        super().__init__(f"{cause} (at byte {offset})", remedy=_REMEDY, details={"offset": offset})


class Source:
    """The bytes of a file, and what may still be read from it.

    Args:
        data: the whole file.
        budget: how many 4-byte units may be read in all, however often offsets lead to the same place.
    """

    def __init__(self, data: bytes | memoryview, budget: int) -> None:
        self.data = data
        self.size = len(data)
        self._left = budget

    def spend(self, units: int, offset: int) -> None:
        """Count what is about to be read."""
        self._left -= units
        if self._left < 0:
            raise Damaged("more is referred to than a file of this size can hold", offset)

    def check(self, offset: int, size: int, what: str) -> None:
        """Refuse what does not lie inside the file."""
        if offset < 0 or size < 0 or offset + size > self.size:
            raise Damaged(f"{what} reaches past the end of the file", max(0, min(offset, self.size)))

    def u16(self, offset: int, what: str) -> int:
        """An unsigned 16-bit number."""
        self.check(offset, 2, what)
        return int(_U16.unpack_from(self.data, offset)[0])

    def u32(self, offset: int, what: str) -> int:
        """An unsigned 32-bit number."""
        self.check(offset, 4, what)
        return int(_U32.unpack_from(self.data, offset)[0])

    def i32(self, offset: int, what: str) -> int:
        """A signed 32-bit number."""
        self.check(offset, 4, what)
        return int(_I32.unpack_from(self.data, offset)[0])


class Table:
    """A table at a place in the file; its fields are known by slot number, in the schema's order."""

    __slots__ = ("_end", "_start", "_vtable", "_vtable_size", "source")

    def __init__(self, source: Source, offset: int, what: str) -> None:
        source.spend(4, offset)
        self.source = source
        self._start = offset
        self._vtable = offset - source.i32(offset, what)
        self._vtable_size = source.u16(self._vtable, f"the layout of {what}")
        size = source.u16(self._vtable + 2, f"the layout of {what}")
        if self._vtable_size < 4 or self._vtable_size % 2 or size < 4:
            raise Damaged(f"the layout of {what} is not one", self._vtable)
        source.check(self._vtable, self._vtable_size, f"the layout of {what}")
        source.check(offset, size, what)
        self._end = offset + size

    def _place(self, slot: int, size: int, what: str) -> int | None:
        at = 4 + 2 * slot
        if at >= self._vtable_size:
            return None
        relative = self.source.u16(self._vtable + at, what)
        if relative == 0:
            return None
        place = self._start + relative
        if relative < 4 or place + size > self._end:
            raise Damaged(f"{what} lies outside its table", place)
        return place

    @property
    def offset(self) -> int:
        """Where the table lies, in bytes from the start of the file."""
        return self._start

    @property
    def slots(self) -> int:
        """How many fields its layout knows, those that are not set included."""
        return (self._vtable_size - 4) // 2

    def place(self, slot: int, size: int, what: str) -> int | None:
        """Where a field of ``size`` bytes lies in the file; None where it is not set."""
        return self._place(slot, size, what)

    def target(self, slot: int, what: str) -> int | None:
        """Where that lies which an offset field refers to."""
        return self._target(slot, what)

    def scalar(self, slot: int, code: str, default: int, what: str) -> int:
        """An integer field, or its default."""
        kind = _SCALARS[code]
        place = self._place(slot, kind.size, what)
        return default if place is None else int(kind.unpack_from(self.source.data, place)[0])

    def has(self, slot: int, what: str) -> bool:
        """Whether an offset field is there."""
        return self._place(slot, 4, what) is not None

    def _target(self, slot: int, what: str) -> int | None:
        place = self._place(slot, 4, what)
        return None if place is None else place + self.source.u32(place, what)

    def vector_place(self, slot: int, element: int, what: str) -> tuple[int, int]:
        """Where a vector's elements begin (bytes from the start of the file), and how many there are."""
        target = self._target(slot, what)
        if target is None:
            return 0, 0
        count = self.source.u32(target, what)
        self.source.check(target + 4, count * element, what)
        return target + 4, count

    def numbers(self, slot: int, code: str, what: str) -> tuple[int, ...]:
        """A vector of integers."""
        kind = _SCALARS[code]
        place, count = self.vector_place(slot, kind.size, what)
        self.source.spend((count * kind.size + 3) // 4, place)
        return struct.unpack_from(f"<{count}{code}", self.source.data, place)

    def floats(self, slot: int, what: str) -> tuple[float, ...]:
        """A vector of 32-bit floats."""
        place, count = self.vector_place(slot, 4, what)
        self.source.spend(count, place)
        return struct.unpack_from(f"<{count}f", self.source.data, place)

    def text(self, slot: int, what: str) -> str:
        """A string; bytes that are not UTF-8 are shown as ``\\xff``."""
        place, count = self.vector_place(slot, 1, what)
        self.source.spend(count // 4 + 1, place)
        return bytes(self.source.data[place : place + count]).decode(errors="backslashreplace")

    def table(self, slot: int, what: str) -> Table | None:
        """A table that this one refers to."""
        target = self._target(slot, what)
        return None if target is None else Table(self.source, target, what)

    def tables(self, slot: int, what: str) -> list[Table]:
        """A vector of tables."""
        place, count = self.vector_place(slot, 4, what)
        self.source.spend(count * 5, place)
        return [Table(self.source, at + self.source.u32(at, what), what) for at in range(place, place + 4 * count, 4)]


def root(source: Source, identifier: bytes, what: str) -> Table:
    """The file's outermost table."""
    if bytes(source.data[4:8]) != identifier:
        raise Damaged(f"this is not {what}: bytes 4 to 8 are not '{identifier.decode()}'", min(4, source.size))
    return Table(source, source.u32(0, what), what)
