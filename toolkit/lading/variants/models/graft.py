"""Writing an edited model: its changed tables in front of the old file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.tflite.flatbuffer import Table
from lading.tflite.model import DTYPES
from lading.variants.models import opened as at
from lading.variants.models.numbering import Numbering
from lading.variants.models.quantized import INTEGERS
from lading.variants.models.tables import Fields, Front, joined

if TYPE_CHECKING:
    from lading.variants.models.graph import Graph, Step, Value
    from lading.variants.models.opened import Opened

_MIN_RUNTIME: Final = "min_runtime_version"
_NEEDED_RUNTIME: Final = (1, 14, 0)
"""The first TFLite that knows what is added here: QUANTIZE 1, DEQUANTIZE 2."""


def write(graph: Graph) -> bytes:
    """The model with its first subgraph as it is now."""
    numbering = Numbering(graph)
    data = joined(graph.opened, lambda moved: _Changed(graph, numbering, moved).data)
    if numbering.new_codes:
        _raise_min_runtime(graph.opened, data, len(data) - len(graph.opened.data))
    return bytes(data)


class _Changed(Front):
    """The tables that changed."""

    def __init__(self, graph: Graph, numbering: Numbering, moved: int) -> None:
        super().__init__(graph.opened, moved)
        self._graph = graph
        self._numbering = numbering
        self._buffers: list[int] = self.old(graph.opened.root, at.MODEL_BUFFERS)
        many = len(self._buffers)
        fields: Fields = {at.MODEL_SUBGRAPHS: self._subgraphs()}
        if len(self._buffers) > many:
            for number in graph.freed:
                self._buffers[number] = self.new("Buffer", {})
            fields[at.MODEL_BUFFERS] = self.vector(self._buffers)
        if numbering.codes_changed:
            fields[at.MODEL_CODES] = self._codes()
        signatures = self._signatures()
        if signatures is not None:
            fields[at.MODEL_SIGNATURES] = signatures
        self.data = self.finish(fields)

    def _subgraphs(self) -> int:
        opened, graph, numbering = self.opened, self._graph, self._numbering
        number = numbering.number
        old_tensors = self.old(opened.graph, at.GRAPH_TENSORS)
        old_operators = self.old(opened.graph, at.GRAPH_OPERATORS)
        tensors = [
            self._tensor(v) if v.changed or v.origin is None else old_tensors[v.origin] for v in numbering.values
        ]
        operators = [
            self._operator(s) if s.origin is None or numbering.differs(s) else old_operators[s.origin]
            for s in graph.steps
        ]
        fields: Fields = {
            at.GRAPH_TENSORS: self.vector(tensors),
            at.GRAPH_INPUTS: self.numbers([number(v) for v in graph.inputs]),
            at.GRAPH_OUTPUTS: self.numbers([number(v) for v in graph.outputs]),
            at.GRAPH_OPERATORS: self.vector(operators),
        }
        main = self.copy(opened.graph, "SubGraph", fields)
        return self.vector([main, *self.old(opened.root, at.MODEL_SUBGRAPHS)[1:]])

    def _tensor(self, value: Value) -> int:
        old = self.opened.tensor(value.like)
        fields: Fields = {at.TENSOR_TYPE: DTYPES.index(value.dtype)}
        if value.named_after is None:
            fields[at.TENSOR_NAME] = self.text(value.name)
        elif value.named_after != value.like:
            target = self.opened.tensor(value.named_after).target(at.TENSOR_NAME, "a tensor's name")
            fields[at.TENSOR_NAME] = None if target is None else -target
        if value.origin is None or value.dtype not in INTEGERS or value.steps is not None:
            fields[at.TENSOR_QUANTIZATION] = self._quantization(value)
        if value.data is not None:
            fields[at.TENSOR_BUFFER] = len(self._buffers)
            self._buffers.append(self.new("Buffer", {at.BUFFER_DATA: self.octets(value.data)}))
        if value.origin is None:
            fields |= {at.TENSOR_SPARSITY: None, at.TENSOR_VARIANTS: None, at.TENSOR_VARIABLE: None}
        return self.copy(old, "Tensor", fields)

    def _quantization(self, value: Value) -> int | None:
        if value.steps is None:
            return None
        builder = self.builder
        builder.StartVector(8, 1, 8)
        builder.PrependInt64(value.steps.zero_point(value.dtype))
        zero_point = int(builder.EndVector())
        builder.StartVector(4, 1, 4)
        builder.PrependFloat32(value.steps.scale)
        scale = int(builder.EndVector())
        return self.new(
            "QuantizationParameters", {at.QUANTIZATION_SCALE: scale, at.QUANTIZATION_ZERO_POINT: zero_point}
        )

    def _operator(self, step: Step) -> int:
        numbering = self._numbering
        ends = {
            at.OPERATOR_CODE: numbering.code(step),
            at.OPERATOR_INPUTS: self.numbers(numbering.numbers(step.inputs)),
            at.OPERATOR_OUTPUTS: self.numbers(numbering.numbers(step.outputs)),
        }
        if step.origin is None:
            return self.new("Operator", ends)
        old = self.opened.operator(step.origin)
        fields: Fields = {**ends}
        if step.changed:  # the options of the other kind mean nothing, and neither kind needs any
            fields |= {at.OPERATOR_OPTIONS_TYPE: None, at.OPERATOR_OPTIONS: None}
        if step.intermediates:
            fields[at.OPERATOR_INTERMEDIATES] = self.numbers(numbering.numbers(step.intermediates))
        large = old.scalar(at.OPERATOR_LARGE_OFFSET, "Q", 0, "an operator's options")
        if large > 1 and old.scalar(at.OPERATOR_LARGE_SIZE, "Q", 0, "an operator's options"):
            fields[at.OPERATOR_LARGE_OFFSET] = large + self.moved
        return self.copy(old, "Operator", fields)

    def _codes(self) -> int:
        old = self.old(self.opened.root, at.MODEL_CODES)
        return self.vector(
            [
                old[code]
                if isinstance(code, int)
                else self.new(
                    "OperatorCode",
                    {at.CODE_DEPRECATED: code.number, at.CODE_VERSION: code.version, at.CODE_BUILTIN: code.number},
                )
                for code in self._numbering.codes
            ]
        )

    def _signatures(self) -> int | None:
        opened, number = self.opened, self._numbering.number
        targets = self.old(opened.root, at.MODEL_SIGNATURES)
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
                        self.copy(opened.table(table, slot, n, "a signature's end"), "TensorMap", {at.MAP_TENSOR: to})
                        for n, to in enumerate(numbers)
                    ]
                    fields[slot] = self.vector(maps)
            if fields:
                targets[index], changed = self.copy(table, "SignatureDef", fields), True
        return self.vector(targets) if changed else None


def _raise_min_runtime(opened: Opened, data: bytearray, moved: int) -> None:
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
        data[moved + place : moved + place + count] = text.ljust(count, b"\0")
