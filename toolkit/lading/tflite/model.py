"""What a TFLite model says about itself."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final, NamedTuple

DTYPES: Final = (
    "float32", "float16", "int32", "uint8", "int64", "string", "bool", "int16", "complex64", "int8", "float64",
    "complex128", "uint64", "resource", "variant", "uint32", "uint16", "int4", "bfloat16", "int2", "uint4",
)  # fmt: skip
"""The schema's tensor types by their number, as numpy calls them where it knows them."""

_BITS: Final = {
    "float32": 32, "float16": 16, "int32": 32, "uint8": 8, "int64": 64, "bool": 8, "int16": 16, "complex64": 64,
    "int8": 8, "float64": 64, "complex128": 128, "uint64": 64, "uint32": 32, "uint16": 16, "int4": 4, "bfloat16": 16,
    "int2": 2, "uint4": 4,
}  # fmt: skip

FLEX_PREFIX: Final = "Flex"


@dataclass(frozen=True)
class Quantization:
    """real = scale x (stored - zero point); several scales stand along ``axis``."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether each channel has a scale of its own."""
        return len(self.scales) > 1


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph."""

    index: int
    name: str
    dtype: str
    """numpy's name; ``type N`` for a number that this version does not know."""
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    """The shape with -1 where it is open; the same as ``shape`` where nothing is."""
    quantization: Quantization | None
    is_variable: bool
    buffer: int
    buffer_bytes: int
    """Bytes of constant data; 0 for a tensor that is computed."""

    @property
    def is_constant(self) -> bool:
        """Whether the model brings its data along."""
        return self.buffer_bytes > 0

    @property
    def is_dynamic(self) -> bool:
        """Whether its shape is only known at run time."""
        return any(d < 0 for d in self.shape_signature) or any(d < 0 for d in self.shape)

    @property
    def elements(self) -> int:
        """Number of elements; open dimensions count as 1."""
        return math.prod(max(d, 1) if d < 0 else d for d in self.shape)

    @property
    def size_bytes(self) -> int | None:
        """Bytes at run time; None for types of no fixed size (strings, resources)."""
        bits = _BITS.get(self.dtype)
        return None if bits is None else (self.elements * bits + 7) // 8


class OperatorKey(NamedTuple):
    """An operator as a runtime has to know it."""

    name: str
    """The builtin's name (``CONV_2D``), or the custom operator's own."""
    version: int
    custom: bool


@dataclass(frozen=True)
class Operator:
    """One node of a subgraph. Tensor index -1 is an optional input left out."""

    key: OperatorKey
    builtin: int
    """The schema's number; that of CUSTOM for custom operators."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    intermediates: tuple[int, ...] = ()
    custom_options_bytes: int = 0

    @property
    def is_flex(self) -> bool:
        """Whether it is a TensorFlow operator that needs the Flex delegate."""
        return self.key.custom and self.key.name.startswith(FLEX_PREFIX)


@dataclass(frozen=True)
class Subgraph:
    """A graph: its tensors, its operators in order of execution, its ends."""

    name: str
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """Its inputs, in order."""
        return tuple(self.tensors[i] for i in self.inputs)

    @property
    def output_tensors(self) -> tuple[Tensor, ...]:
        """Its outputs, in order."""
        return tuple(self.tensors[i] for i in self.outputs)


class SignatureEnd(NamedTuple):
    """An input or output under the name that a signature gives it."""

    name: str
    tensor: int


@dataclass(frozen=True)
class Signature:
    """An entry point with names of its own for inputs and outputs."""

    key: str
    subgraph: int
    inputs: tuple[SignatureEnd, ...]
    outputs: tuple[SignatureEnd, ...]


class Metadata(NamedTuple):
    """A named buffer that converters and tools leave in a model."""

    name: str
    size: int


@dataclass(frozen=True)
class Model:
    """A whole model. The first subgraph is the one that wasi-nn hosts run."""

    version: int
    description: str
    size_bytes: int
    subgraphs: tuple[Subgraph, ...]
    signatures: tuple[Signature, ...]
    metadata: tuple[Metadata, ...]
    min_runtime_version: str
    """What the converter wrote; empty where it wrote nothing."""
    weights_bytes: int
    """Constant data, buffers that several tensors share counted once."""
    operator_codes: tuple[OperatorKey, ...]

    @property
    def main(self) -> Subgraph:
        """The first subgraph."""
        return self.subgraphs[0]

    @property
    def operators(self) -> dict[OperatorKey, int]:
        """How often each operator is used, over all subgraphs, in order of names."""
        counts = Counter(op.key for graph in self.subgraphs for op in graph.operators)
        return dict(sorted(counts.items()))

    @property
    def custom_operators(self) -> tuple[str, ...]:
        """Names of custom operators that are used, Flex ones left out."""
        return tuple(sorted({k.name for k in self.operators if k.custom and not k.name.startswith(FLEX_PREFIX)}))

    @property
    def flex_operators(self) -> tuple[str, ...]:
        """Names of TensorFlow operators that are used and need the Flex delegate."""
        return tuple(sorted({k.name for k in self.operators if k.custom and k.name.startswith(FLEX_PREFIX)}))

    @property
    def is_dynamic(self) -> bool:
        """Whether some tensor of the first subgraph gets its shape at run time only."""
        return any(tensor.is_dynamic for tensor in self.main.tensors)
