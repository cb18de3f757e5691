"""What a TFLite model is made of: tensors, quantization, operators, signatures, read from its flatbuffer.

The reader is small, bounded and knows nothing of an interpreter, so that whoever predicts what a host will do with a
model and the host itself look at the same facts. It never follows an offset out of the file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterator, List, Mapping, Optional, Set, Tuple

IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3

DTYPES: Mapping[int, Tuple[str, int]] = {
    0: ("float32", 4),
    1: ("float16", 2),
    2: ("int32", 4),
    3: ("uint8", 1),
    4: ("int64", 8),
    5: ("string", 0),
    6: ("bool", 1),
    7: ("int16", 2),
    8: ("complex64", 8),
    9: ("int8", 1),
    10: ("float64", 8),
    11: ("complex128", 16),
    12: ("uint64", 8),
    13: ("resource", 0),
    14: ("variant", 0),
    15: ("uint32", 4),
    16: ("uint16", 2),
    17: ("int4", 0),
    18: ("bfloat16", 2),
}
"""TFLite's type number to numpy's name and the bytes of one element (0: not a plain array of elements)."""

CUSTOM = 32
"""The builtin code of an operator that has a name instead."""

STATEFUL_CODES = frozenset({16, 24, 27, 35, 44, 46, 52, 129, 136, 137, 138, 142, 143, 144, 146, 148, 149})
"""LSTM, RNN and SVDF in their variants, CALL_ONCE, hash tables, variables, random numbers: running them changes what
the next run sees."""

MOST_TENSORS = 100_000
MOST_RANK = 64
MOST_NAME = 1024


BEYOND = 1024 * 1024
"""How far behind its last byte an unverified model is read; there are zeros there."""

SHAPED_BY: Mapping[int, Tuple[int, ...]] = {
    22: (1,),  # RESHAPE
    23: (1,),  # RESIZE_BILINEAR
    34: (1,),  # PAD
    37: (1, 2),  # BATCH_TO_SPACE_ND
    38: (1, 2),  # SPACE_TO_BATCH_ND
    39: (1,),  # TRANSPOSE
    40: (1,),  # MEAN
    45: (1, 2, 3),  # STRIDED_SLICE
    48: (1,),  # TOPK_V2
    49: (0,),  # SPLIT
    60: (1,),  # PADV2
    65: (1, 2),  # SLICE
    67: (0,),  # TRANSPOSE_CONV
    68: (1,),  # SPARSE_TO_DENSE
    69: (1,),  # TILE
    70: (1,),  # EXPAND_DIMS
    74: (1,),  # SUM
    81: (1,),  # REDUCE_PROD
    82: (1,),  # REDUCE_MAX
    85: (1,),  # ONE_HOT
    89: (1,),  # REDUCE_MIN
    91: (1,),  # REDUCE_ANY
    94: (0,),  # FILL
    96: (0, 1, 2),  # RANGE
    97: (1,),  # RESIZE_NEAREST_NEIGHBOR
    102: (1, 2),  # SPLIT_V
    130: (1,),  # BROADCAST_TO
}
"""Operators whose output's shape comes from the values of inputs at these positions; constants are known beforehand."""

ALWAYS_SHAPED = frozenset({103, 109})
"""UNIQUE and WHERE: how much they give depends on the data itself."""


class BadModel(ValueError):
    """Not a model that can be read."""


class NotBuilt(BadModel):
    """Readable as far as it goes, but no interpreter builds it."""


@dataclass(frozen=True)
class TensorFacts:
    """One input or output of a model."""

    name: str
    dtype: str
    shape: Tuple[int, ...]
    """As the interpreter has it before any resize: unknown dimensions count 1."""
    signature: Tuple[int, ...]
    """The same with -1 for dimensions that the model leaves open."""
    element_bytes: int
    scale: float = 0.0
    zero_point: int = 0
    per_channel: bool = False
    by_data: bool = False
    """An output whose size only the model's own data tell."""

    @property
    def count(self) -> int:
        """Elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.count * self.element_bytes

    @property
    def scaled(self) -> bool:
        """It carries a scale, whatever its type."""
        return self.scale > 0.0 or self.per_channel

    @property
    def quantized(self) -> bool:
        """An integer tensor with one scale: its values stand for real numbers."""
        return self.scale > 0.0 and not self.per_channel and self.dtype in ("int8", "uint8", "int16")

    def describe(self) -> str:
        """``int8 1x8x8x1``."""
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


@dataclass(frozen=True)
class OperatorFacts:
    """An operator that a model uses."""

    code: int
    version: int
    custom: str = ""


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model's bytes. ``error`` says why they cannot be loaded; it is empty if they can."""

    size: int
    identifier: bool = False
    """The bytes carry TFLite's identifier, whatever else they are."""
    error: str = ""
    damage: str = ""
    """What a host meets that reads the bytes unverified: nothing, ``refused`` (its interpreter says no) or ``wild``
    (offsets lead out of the file)."""
    inputs: Tuple[TensorFacts, ...] = ()
    outputs: Tuple[TensorFacts, ...] = ()
    operators: Tuple[OperatorFacts, ...] = ()
    signature_inputs: Mapping[str, int] = field(default_factory=dict)
    """Name in the model's first signature to the position among ``inputs``."""
    signature_outputs: Mapping[str, int] = field(default_factory=dict)
    stateful: bool = False
    """Running it changes what the next run sees (variables, recurrent operators)."""
    shaped_by_data: bool = False
    """The size of some tensor comes from other tensors' data: outputs have no memory before the first run."""

    def refused(self, reason: str) -> ModelFacts:
        """The same bytes, refused by whoever looked closer."""
        return replace(self, error=reason, damage=self.damage or "refused")

    def input_named(self, name: str) -> Optional[int]:
        """Position of the input of that name: the signature's names first, then the graph's."""
        return _position(name, self.signature_inputs, self.inputs)

    def output_named(self, name: str) -> Optional[int]:
        """Position of the output of that name."""
        return _position(name, self.signature_outputs, self.outputs)

    def output_label(self, index: int) -> str:
        """The name that the user knows an output by."""
        for name, position in self.signature_outputs.items():
            if position == index:
                return name
        return self.outputs[index].name


def _position(name: str, signature: Mapping[str, int], tensors: Tuple[TensorFacts, ...]) -> Optional[int]:
    if name in signature:
        return signature[name]
    return next((i for i, t in enumerate(tensors) if t.name == name), None)


def read_unverified(data: Any) -> Tuple[ModelFacts, bytes]:
    """What a host makes of bytes that carry the identifier when it checks nothing else.

    Returns:
        Facts (with ``damage``), and the bytes as they are read: zeros follow the last one.
    """
    content = bytes(data) + bytes(BEYOND)
    return replace(read_model(content), size=len(content) - BEYOND), content


def read_model(data: Any) -> ModelFacts:
    """The facts of a model.

    Args:
        data: the model's bytes, or any buffer of them.

    Returns:
        Facts; with ``error`` set where the bytes cannot be read as a model.
    """
    view = memoryview(data).cast("B")
    size = len(view)
    identifier = size >= 8 and bytes(view[4:8]) == IDENTIFIER
    if not identifier:
        what = "is empty" if not size else "is not a TFLite model (no TFL3 identifier)"
        return ModelFacts(size=size, error=f"the model {what}")
    try:
        return _Reader(view).model()
    except NotBuilt as error:
        return ModelFacts(size=size, identifier=True, error=f"the model is damaged: {error}", damage="refused")
    except (BadModel, struct.error, IndexError, OverflowError) as error:
        reason = f"the model is damaged: {error or 'offset out of range'}"
        return ModelFacts(size=size, identifier=True, error=reason, damage="wild")


class _Reader:
    """Reads tables of a flatbuffer, each offset checked against the file."""

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.size = len(view)

    def u32(self, at: int) -> int:
        if at < 0 or at + 4 > self.size:
            raise BadModel(f"offset {at} is out of range")
        return int(struct.unpack_from("<I", self.view, at)[0])

    def scalar(self, fmt: str, at: int) -> Any:
        if at < 0 or at + struct.calcsize(fmt) > self.size:
            raise BadModel(f"offset {at} is out of range")
        return struct.unpack_from(fmt, self.view, at)[0]

    def place(self, table: int, number: int) -> int:
        """Where field ``number`` of the table lies; 0 when it has its default."""
        vtable = table - self.scalar("<i", table)
        length = self.scalar("<H", vtable)
        entry = 4 + 2 * number
        if entry + 2 > length:
            return 0
        offset = self.scalar("<H", vtable + entry)
        return table + offset if offset else 0

    def field(self, table: int, number: int, fmt: str, default: int = 0) -> Any:
        at = self.place(table, number)
        return self.scalar(fmt, at) if at else default

    def vector(self, table: int, number: int, item: int) -> Tuple[int, int]:
        """Start and count of a vector field; checked to lie inside the file."""
        at = self.place(table, number)
        if not at:
            return 0, 0
        start = at + self.u32(at)
        count = self.u32(start)
        if start + 4 + count * item > self.size:
            raise BadModel(f"a vector of {count} items at {start} is longer than the file")
        return start + 4, count

    def tables(self, table: int, number: int) -> Iterator[int]:
        start, count = self.vector(table, number, 4)
        if count > MOST_TENSORS:
            raise BadModel(f"{count} entries in one list")
        for at in range(start, start + 4 * count, 4):
            yield at + self.u32(at)

    def ints(self, table: int, number: int, fmt: str = "i", most: int = MOST_TENSORS) -> Tuple[int, ...]:
        start, count = self.vector(table, number, struct.calcsize(fmt))
        if count > most:
            raise BadModel(f"{count} entries in one list")
        return struct.unpack_from(f"<{count}{fmt}", self.view, start) if count else ()

    def text(self, table: int, number: int) -> str:
        start, count = self.vector(table, number, 1)
        return bytes(self.view[start : start + min(count, MOST_NAME)]).decode("utf-8", "replace")

    def model(self) -> ModelFacts:
        root = self.u32(0)
        version = self.field(root, 0, "<I")
        if version != SCHEMA_VERSION:
            raise NotBuilt(f"its schema has version {version}, not {SCHEMA_VERSION}")
        subgraphs = list(self.tables(root, 2))
        if not subgraphs:
            raise NotBuilt("it has no subgraph")
        codes = [self._code(t) for t in self.tables(root, 1)]
        main = subgraphs[0]
        tensors = list(self.tables(main, 0))
        inputs = self._positions(main, 1, len(tensors))
        outputs = self._positions(main, 2, len(tensors))
        used: Dict[int, OperatorFacts] = {}
        by_data: Set[int] = set()
        shaped = False
        for graph in subgraphs:
            for operator in self.tables(graph, 3):
                index = self.field(operator, 0, "<I")
                if index >= len(codes):
                    raise BadModel(f"an operator has code {index} of {len(codes)}")
                used[index] = codes[index]
                if graph == main and self._shaped(root, operator, codes[index].code, tensors):
                    shaped = True
                    by_data.update(self.ints(operator, 2))
        stateful = any(o.code in STATEFUL_CODES or o.code == CUSTOM for o in used.values()) or any(
            self.field(t, 5, "<B") for graph in subgraphs for t in self.tables(graph, 0)
        )
        maps: List[Dict[str, int]] = [{}, {}]
        for signature in self.tables(root, 7):
            if self.field(signature, 4, "<I") == 0:
                maps = [self._names(signature, 0, inputs), self._names(signature, 1, outputs)]
                break
        return ModelFacts(
            size=self.size,
            identifier=True,
            inputs=tuple(self._tensor(tensors[i]) for i in inputs),
            outputs=tuple(replace(self._tensor(tensors[i]), by_data=i in by_data) for i in outputs),
            operators=tuple(used[i] for i in sorted(used)),
            signature_inputs=maps[0],
            signature_outputs=maps[1],
            stateful=stateful,
            shaped_by_data=shaped,
        )

    def _shaped(self, root: int, operator: int, code: int, tensors: List[int]) -> bool:
        """The shape of an operator's output depends on data that is not in the file."""
        if code in ALWAYS_SHAPED:
            return True
        positions = SHAPED_BY.get(code, ())
        inputs = self.ints(operator, 1) if positions else ()
        return any(p < len(inputs) and self._computed(root, inputs[p], tensors) for p in positions)

    def _computed(self, root: int, tensor: int, tensors: List[int]) -> bool:
        if not 0 <= tensor < len(tensors):
            return False
        buffer = self.field(tensors[tensor], 2, "<I")
        start, count = self.vector(root, 4, 4)
        if buffer >= count:
            return True
        at = start + 4 * buffer
        table = at + self.u32(at)
        return not self.vector(table, 0, 1)[1] and not self.field(table, 1, "<Q")

    def _positions(self, graph: int, number: int, tensors: int) -> Tuple[int, ...]:
        found = self.ints(graph, number)
        for i in found:
            if not 0 <= i < tensors:
                raise BadModel(f"tensor {i} of {tensors}")
        return found

    def _names(self, signature: int, number: int, positions: Tuple[int, ...]) -> Dict[str, int]:
        names: Dict[str, int] = {}
        for entry in self.tables(signature, number):
            tensor = self.field(entry, 1, "<I")
            if tensor in positions:
                names[self.text(entry, 0)] = positions.index(tensor)
        return names

    def _code(self, table: int) -> OperatorFacts:
        code = max(self.field(table, 0, "<b"), self.field(table, 3, "<i"))
        return OperatorFacts(code, self.field(table, 2, "<i", 1), self.text(table, 1) if code == CUSTOM else "")

    def _tensor(self, table: int) -> TensorFacts:
        number = self.field(table, 1, "<b")
        dtype, element = DTYPES.get(number, (f"type-{number}", 0))
        shape = self.ints(table, 0, most=MOST_RANK)
        signature = self.ints(table, 7, most=MOST_RANK) or shape
        scale, zero, channels = 0.0, 0, 0
        at = self.place(table, 4)
        if at:
            quantization = at + self.u32(at)
            start, channels = self.vector(quantization, 2, 4)
            if channels:
                scale = float(self.scalar("<f", start))
            start, zeros = self.vector(quantization, 3, 8)
            if zeros:
                zero = int(self.scalar("<q", start))
        return TensorFacts(
            name=self.text(table, 3),
            dtype=dtype,
            shape=tuple(1 if d < 0 else d for d in shape),
            signature=signature,
            element_bytes=element,
            scale=scale,
            zero_point=zero,
            per_channel=channels > 1,
        )
