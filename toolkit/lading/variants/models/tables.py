"""New tables in front of an old file.

What FlatBuffers refer to lies behind the reference. So tables that change, and those on the way to them from the
root, are written anew and put in front of the file as it was, which stays as it is: weights, options and whatever
else the file holds keep their bytes and their alignment. Only where data lie that large models keep outside the
FlatBuffer is counted from the start of the file and has to be moved on.

In the builder, offsets are counted back from the end of the new part: ``-n`` is byte ``n`` of the old file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from lading.errors import NotRetypable
from lading.tflite.flatbuffer import Table
from lading.tflite.read import IDENTIFIER
from lading.variants.models import opened as at
from lading.variants.models.opened import LAYOUTS, OFFSET, Opened, check_known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flatbuffers import Builder

_ALIGNMENT: Final = 64
_DATA_ALIGNMENT: Final = 16
_PUT: Final = {"b": "Int8", "B": "Uint8", "I": "Uint32", "i": "Int32", "Q": "Uint64"}

Fields = dict[int, int | None]
"""Fields that differ from the old table: a scalar, or where the new thing lies; None leaves a field out."""


class Front:
    """The part that is put in front.

    Args:
        opened: the old file.
        moved: by how many bytes it moves.
    """

    def __init__(self, opened: Opened, moved: int) -> None:
        from flatbuffers import Builder

        self.opened = opened
        self.moved = moved
        self.builder: Builder = Builder(1024)
        self.builder.Prep(_ALIGNMENT, 0)

    def finish(self, fields: Mapping[int, int | None]) -> bytes:
        """The new part: the model's table like the old one, but for some fields."""
        self.builder.Finish(self.copy(self.opened.root, "Model", fields), IDENTIFIER)
        return bytes(self.builder.Output())

    def copy(self, table: Table, kind: str, fields: Mapping[int, int | None]) -> int:
        """A table like an old one, but for some fields.

        Raises:
            NotRetypable: it has fields that nobody here knows.
        """
        check_known(table, kind)
        merged: dict[int, int] = {}
        for slot, code in enumerate(LAYOUTS[kind]):
            if slot in fields:
                value = fields[slot]
            elif code == OFFSET:
                target = table.target(slot, kind)
                value = None if target is None else -target
            else:
                value = table.scalar(slot, code, 0, kind) if table.place(slot, 1, kind) is not None else None
            if value is not None:
                merged[slot] = value
        return self.new(kind, merged)

    def new(self, kind: str, fields: Mapping[int, int]) -> int:
        """A table of these fields."""
        builder, layout = self.builder, LAYOUTS[kind]
        builder.StartObject(len(layout))
        for slot, value in sorted(fields.items()):
            if layout[slot] == OFFSET:
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                put = getattr(builder, f"Prepend{_PUT[layout[slot]]}Slot")
                put(slot, value, at.DEFAULTS.get((kind, slot), 0))
        return int(builder.EndObject())

    def vector(self, targets: Sequence[int]) -> int:
        """A vector of tables."""
        self.builder.StartVector(4, len(targets), 4)
        for target in reversed(targets):
            self.builder.PrependUOffsetTRelative(target)
        return int(self.builder.EndVector())

    def numbers(self, numbers: Sequence[int]) -> int:
        """A vector of 32-bit integers."""
        self.builder.StartVector(4, len(numbers), 4)
        for number in reversed(numbers):
            self.builder.PrependInt32(number)
        return int(self.builder.EndVector())

    def text(self, text: str) -> int:
        """A string."""
        return int(self.builder.CreateString(text))

    def octets(self, data: bytes) -> int:
        """A vector of bytes, aligned as interpreters want constant data."""
        builder = self.builder
        builder.StartVector(1, len(data), _DATA_ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return int(builder.EndVector())

    def old(self, parent: Table, slot: int) -> list[int]:
        """The tables of an old vector, as targets of a new one."""
        return [-place for place in self.opened.places(parent, slot, "a table")]


def joined(opened: Opened, build: Callable[[int], bytes]) -> bytearray:
    """The new part and the old file behind it.

    Args:
        opened: the old file.
        build: makes the new part, given by how many bytes the old file moves.
    """
    size = len(build(0))
    front = build(size)
    assert len(front) == size
    data = bytearray(front)
    data += opened.data
    _move_external(opened, data, size)
    return data


def _move_external(opened: Opened, data: bytearray, size: int) -> None:
    """Data behind the FlatBuffer lie ``size`` bytes further on now."""
    tables = [(p, 1, 2) for p in opened.places(opened.root, at.MODEL_BUFFERS, "a buffer")]
    for graph in opened.places(opened.root, at.MODEL_SUBGRAPHS, "a subgraph"):
        operators = opened.places(Table(opened.source, graph, "a subgraph"), at.GRAPH_OPERATORS, "an operator")
        tables += [(p, at.OPERATOR_LARGE_OFFSET, at.OPERATOR_LARGE_SIZE) for p in operators]
    done: set[int] = set()
    for position, offset_slot, size_slot in tables:
        table = Table(opened.source, position, "a table")
        place = table.place(offset_slot, 8, "an offset")
        offset = table.scalar(offset_slot, "Q", 0, "an offset")
        if place is None or offset <= 1 or not table.scalar(size_slot, "Q", 0, "a size") or place in done:
            continue
        if offset + size >= 2**64:
            raise NotRetypable("a buffer's offset is damaged", remedy="convert the model again")
        done.add(place)
        struct.pack_into("<Q", data, size + place, offset + size)
