"""Writing an edited model: a few new tables in front of the old file.

What FlatBuffers refer to lies behind the reference. So the tables that changed, and those on the way to them from the
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
from lading.tflite.model import DTYPES
from lading.tflite.read import IDENTIFIER
from lading.variants.models import opened as at
from lading.variants.models.numbering import Numbering
from lading.variants.models.opened import LAYOUTS, OFFSET, Opened, check_known
from lading.variants.models.quantized import INTEGERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flatbuffers import Builder

    from lading.variants.models.graph import Graph, Step, Value

_ALIGNMENT: Final = 64
_MIN_RUNTIME: Final = "min_runtime_version"
_NEEDED_RUNTIME: Final = (1, 14, 0)
"""The first TFLite that knows what is added here: QUANTIZE 1, DEQUANTIZE 2."""

Fields = dict[int, int | None]
"""Fields that differ from the old table: a scalar, or where the new thing lies; None leaves a field out."""


def write(graph: Graph) -> bytes:
    """The model with its first subgraph as it is now."""
    numbering = Numbering(graph)
    size = len(_Front(graph, numbering, 0).data)
    front = _Front(graph, numbering, size).data
    assert len(front) == size
    body = bytearray(graph.opened.data)
    _move_external(graph.opened, body, size)
    if numbering.new_codes:
        _raise_min_runtime(graph.opened, body)
    return front + bytes(body)


class _Front:
    """The part that is put in front.

    Args:
        graph: what to write.
        numbering: the numbers of tensors and operator codes.
        moved: by how many bytes the old file moves.
    """

    def __init__(self, graph: Graph, numbering: Numbering, moved: int) -> None:
        from flatbuffers import Builder

        self._opened = graph.opened
        self._graph = graph
        self._numbering = numbering
        self._moved = moved
        self._builder: Builder = Builder(1024)
        self._builder.Prep(_ALIGNMENT, 0)
        fields: Fields = {at.MODEL_SUBGRAPHS: self._subgraphs()}
        if numbering.codes_changed:
            fields[at.MODEL_CODES] = self._codes()
        signatures = self._signatures()
        if signatures is not None:
            fields[at.MODEL_SIGNATURES] = signatures
        self._builder.Finish(self._table(self._opened.root, "Model", fields), IDENTIFIER)
        self.data = bytes(self._builder.Output())

    def _table(self, table: Table, kind: str, fields: Mapping[int, int | None]) -> int:
        """A table like an old one, but for some fields."""
        check_known(table, kind)
        layout = LAYOUTS[kind]
        merged: list[tuple[int, str, int]] = []
        for slot, code in enumerate(layout):
            if slot in fields:
                value = fields[slot]
            elif code == OFFSET:
                target = table.target(slot, kind)
                value = None if target is None else -target
            else:
                value = table.scalar(slot, code, 0, kind) if table.place(slot, 1, kind) is not None else None
            if value is not None:
                merged.append((slot, code, value))
        return self._new(kind, merged)

    def _new(self, kind: str, fields: list[tuple[int, str, int]]) -> int:
        builder = self._builder
        builder.StartObject(len(LAYOUTS[kind]))
        for slot, code, value in fields:
            if code == OFFSET:
                builder.PrependUOffsetTRelativeSlot(slot, value, 0)
            else:
                put = {"b": "Int8", "B": "Uint8", "I": "Uint32", "i": "Int32", "Q": "Uint64"}[code]
                getattr(builder, f"Prepend{put}Slot")(slot, value, at.DEFAULTS.get((kind, slot), 0))
        return int(builder.EndObject())

    def _vector(self, targets: list[int]) -> int:
        builder = self._builder
        builder.StartVector(4, len(targets), 4)
        for target in reversed(targets):
            builder.PrependUOffsetTRelative(target)
        return int(builder.EndVector())

    def _numbers(self, numbers: list[int]) -> int:
        builder = self._builder
        builder.StartVector(4, len(numbers), 4)
        for number in reversed(numbers):
            builder.PrependInt32(number)
        return int(builder.EndVector())

    def _subgraphs(self) -> int:
        opened, graph, numbering = self._opened, self._graph, self._numbering
        number = numbering.number
        old_tensors = [-p for p in opened.places(opened.graph, at.GRAPH_TENSORS, "a tensor")]
        old_operators = [-p for p in opened.places(opened.graph, at.GRAPH_OPERATORS, "an operator")]
        tensors = [
            self._tensor(v) if v.changed or v.origin is None else old_tensors[v.origin] for v in numbering.values
        ]
        operators = [
            self._operator(s) if s.origin is None or numbering.differs(s) else old_operators[s.origin]
            for s in graph.steps
        ]
        fields: Fields = {
            at.GRAPH_TENSORS: self._vector(tensors),
            at.GRAPH_INPUTS: self._numbers([number(v) for v in graph.inputs]),
            at.GRAPH_OUTPUTS: self._numbers([number(v) for v in graph.outputs]),
            at.GRAPH_OPERATORS: self._vector(operators),
        }
        main = self._table(opened.graph, "SubGraph", fields)
        others = [-p for p in opened.places(opened.root, at.MODEL_SUBGRAPHS, "a subgraph")[1:]]
        return self._vector([main, *others])

    def _tensor(self, value: Value) -> int:
        old = self._opened.tensor(value.like)
        fields: Fields = {at.TENSOR_TYPE: DTYPES.index(value.dtype)}
        if value.named_after is None:
            fields[at.TENSOR_NAME] = int(self._builder.CreateString(value.name))
        elif value.named_after != value.like:
            target = self._opened.tensor(value.named_after).target(at.TENSOR_NAME, "a tensor's name")
            fields[at.TENSOR_NAME] = None if target is None else -target
        if value.origin is None or value.dtype not in INTEGERS or value.steps is not None:
            fields[at.TENSOR_QUANTIZATION] = self._quantization(value)
        if value.origin is None:
            fields |= {at.TENSOR_SPARSITY: None, at.TENSOR_VARIANTS: None, at.TENSOR_VARIABLE: None}
        return self._table(old, "Tensor", fields)

    def _quantization(self, value: Value) -> int | None:
        if value.steps is None:
            return None
        builder = self._builder
        builder.StartVector(8, 1, 8)
        builder.PrependInt64(value.steps.zero_point(value.dtype))
        zero_point = int(builder.EndVector())
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value.steps.scale)
        scale = int(builder.EndVector())
        builder.StartObject(at.QUANTIZATION_ZERO_POINT + 1)
        builder.PrependUOffsetTRelativeSlot(at.QUANTIZATION_SCALE, scale, 0)
        builder.PrependUOffsetTRelativeSlot(at.QUANTIZATION_ZERO_POINT, zero_point, 0)
        return int(builder.EndObject())

    def _operator(self, step: Step) -> int:
        numbering = self._numbering
        fields: Fields = {
            at.OPERATOR_CODE: numbering.code(step),
            at.OPERATOR_INPUTS: self._numbers(numbering.numbers(step.inputs)),
            at.OPERATOR_OUTPUTS: self._numbers(numbering.numbers(step.outputs)),
        }
        if step.origin is None:
            kinds = LAYOUTS["Operator"]
            return self._new("Operator", [(s, kinds[s], v) for s, v in sorted(fields.items()) if v is not None])
        old = self._opened.operator(step.origin)
        if step.changed:  # the options of the other kind mean nothing, and neither kind needs any
            fields |= {at.OPERATOR_OPTIONS_TYPE: None, at.OPERATOR_OPTIONS: None}
        if step.intermediates:
            fields[at.OPERATOR_INTERMEDIATES] = self._numbers(numbering.numbers(step.intermediates))
        large = old.scalar(at.OPERATOR_LARGE_OFFSET, "Q", 0, "an operator's options")
        if large > 1 and old.scalar(at.OPERATOR_LARGE_SIZE, "Q", 0, "an operator's options"):
            fields[at.OPERATOR_LARGE_OFFSET] = large + self._moved
        return self._table(old, "Operator", fields)

    def _codes(self) -> int:
        places = self._opened.places(self._opened.root, at.MODEL_CODES, "an operator code")
        targets = []
        for code in self._numbering.codes:
            if isinstance(code, int):
                targets.append(-places[code])
                continue
            builder = self._builder
            builder.StartObject(4)
            builder.PrependInt8Slot(0, code.number, 0)
            builder.PrependInt32Slot(2, code.version, 1)
            builder.PrependInt32Slot(3, code.number, 0)
            targets.append(int(builder.EndObject()))
        return self._vector(targets)

    def _signatures(self) -> int | None:
        opened, number = self._opened, self._numbering.number
        targets = [-p for p in opened.places(opened.root, at.MODEL_SIGNATURES, "a signature")]
        changed = False
        for index, ends in self._graph.signatures.items():
            facts = opened.facts.signatures[index]
            sides = ((at.SIGNATURE_INPUTS, facts.inputs), (at.SIGNATURE_OUTPUTS, facts.outputs))
            fields: Fields = {}
            table = Table(opened.source, -targets[index], "a signature")
            for (slot, old), values in zip(sides, ends, strict=True):
                numbers = [number(v) for v in values]
                if numbers != [e.tensor for e in old]:
                    maps = [
                        self._table(opened.table(table, slot, n, "a signature's end"), "TensorMap", {at.MAP_TENSOR: to})
                        for n, to in enumerate(numbers)
                    ]
                    fields[slot] = self._vector(maps)
            if fields:
                targets[index], changed = self._table(table, "SignatureDef", fields), True
        return self._vector(targets) if changed else None


def _move_external(opened: Opened, body: bytearray, size: int) -> None:
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
        struct.pack_into("<Q", body, place, offset + size)


def _raise_min_runtime(opened: Opened, body: bytearray) -> None:
    """Metadata that promise an older TFLite than the one that knows the new operators are corrected in place."""
    for index, entry in enumerate(opened.facts.metadata):
        if entry.name != _MIN_RUNTIME:
            continue
        table = opened.table(opened.root, at.MODEL_METADATA, index, "metadata")
        buffer = opened.table(opened.root, at.MODEL_BUFFERS, table.scalar(1, "I", 0, "metadata"), "a buffer")
        place, count = buffer.vector_place(0, 1, "a buffer's data")
        said = bytes(opened.data[place : place + count]).split(b"\0", 1)[0].decode("ascii", "replace")
        numbers = said.split(".")
        text = ".".join(map(str, _NEEDED_RUNTIME)).encode()
        if not all(n.isdecimal() for n in numbers) or tuple(map(int, numbers)) >= _NEEDED_RUNTIME or count < len(text):
            continue
        body[place : place + count] = text.ljust(count, b"\0")
