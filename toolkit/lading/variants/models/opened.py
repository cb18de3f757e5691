"""A model file that is about to be edited: what it says, and where it says it.

`lading.tflite.read_model` is the gatekeeper: only a file that it has read to the end is looked at here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import NotRetypable
from lading.tflite.flatbuffer import Source, Table, root
from lading.tflite.read import IDENTIFIER, read_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.tflite.model import Model

_MOST_UNITS: Final = 64_000_000
_LEAST_UNITS: Final = 65_536

OFFSET: Final = "offset"
"""A field that refers to something else in the file; the other kinds are `struct` codes of scalars."""

LAYOUTS: Final[Mapping[str, tuple[str, ...]]] = {
    "Model": ("I", *(OFFSET,) * 9),
    "SubGraph": (*(OFFSET,) * 5, "i"),
    "Tensor": (OFFSET, "b", "I", *(OFFSET,) * 2, "B", *(OFFSET,) * 2, "B", OFFSET, "I"),
    "Operator": ("I", *(OFFSET,) * 2, "B", *(OFFSET,) * 2, "b", *(OFFSET,) * 2, "Q", "Q", "B", OFFSET, "i"),
    "SignatureDef": (*(OFFSET,) * 3, OFFSET, "I"),
    "TensorMap": (OFFSET, "I"),
    "Buffer": (OFFSET, "Q", "Q"),
    "OperatorCode": ("b", OFFSET, "i", "i"),
    "QuantizationParameters": (*(OFFSET,) * 4, "B", OFFSET, "i"),
}
"""The fields of TFLite's tables, in the schema's order, as far as tables are made anew here."""

DEFAULTS: Final[Mapping[tuple[str, int], int]] = {("SubGraph", 5): -1, ("Operator", 13): -1, ("OperatorCode", 2): 1}
"""Scalars whose default is not 0."""

MODEL_CODES, MODEL_SUBGRAPHS, MODEL_BUFFERS, MODEL_METADATA, MODEL_SIGNATURES = 1, 2, 4, 6, 7
GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS = 0, 1, 2, 3
TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION, TENSOR_VARIABLE = 1, 2, 3, 4, 5
TENSOR_SPARSITY, TENSOR_VARIANTS, TENSOR_EXTERNAL = 6, 9, 10
OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS_TYPE, OPERATOR_OPTIONS = 0, 1, 2, 3, 4
OPERATOR_INTERMEDIATES, OPERATOR_LARGE_OFFSET, OPERATOR_LARGE_SIZE = 8, 9, 10
CODE_DEPRECATED, CODE_VERSION, CODE_BUILTIN = 0, 2, 3
BUFFER_DATA = 0
SIGNATURE_INPUTS, SIGNATURE_OUTPUTS, SIGNATURE_KEY = 0, 1, 2
MAP_NAME, MAP_TENSOR = 0, 1
QUANTIZATION_SCALE, QUANTIZATION_ZERO_POINT = 2, 3


class Opened:
    """The bytes of a model, its facts, and its tables by place.

    Args:
        data: the whole file.

    Raises:
        ModelError: not a model, or a damaged one.
    """

    def __init__(self, data: bytes) -> None:
        self.facts: Model = read_model(data)
        self.data = data
        self.source = Source(data, min(_MOST_UNITS, max(_LEAST_UNITS, 4 * len(data))))
        self.root: Table = root(self.source, IDENTIFIER, "a TFLite model")
        self.graph = self.table(self.root, MODEL_SUBGRAPHS, 0, "a subgraph")

    def places(self, parent: Table, slot: int, what: str) -> list[int]:
        """Where the tables of a vector lie."""
        place, count = parent.vector_place(slot, 4, what)
        self.source.spend(count, place)
        return [at + self.source.u32(at, what) for at in range(place, place + 4 * count, 4)]

    def table(self, parent: Table, slot: int, index: int, what: str) -> Table:
        """One table of a vector."""
        place, _ = parent.vector_place(slot, 4, what)
        at = place + 4 * index
        return Table(self.source, at + self.source.u32(at, what), what)

    def tensor(self, index: int) -> Table:
        """The table of a tensor of the first subgraph."""
        return self.table(self.graph, GRAPH_TENSORS, index, f"tensor {index}")

    def constant(self, index: int) -> bytes:
        """The data of a constant tensor of the first subgraph."""
        number = self.facts.main.tensors[index].buffer
        buffer = self.table(self.root, MODEL_BUFFERS, number, "a buffer")
        place, count = buffer.vector_place(BUFFER_DATA, 1, "a buffer's data")
        if not count:
            place, count = (buffer.scalar(slot, "Q", 0, "a buffer's place") for slot in (1, 2))
        return bytes(self.data[place : place + count])

    def operator(self, index: int) -> Table:
        """The table of an operator of the first subgraph."""
        return self.table(self.graph, GRAPH_OPERATORS, index, f"operator {index}")


def check_known(table: Table, kind: str) -> None:
    """Refuse a table that has fields which nobody here could carry over.

    Raises:
        NotRetypable: the file follows a newer schema.
    """
    for slot in range(len(LAYOUTS[kind]), table.slots):
        if table.place(slot, 1, kind) is not None:
            raise NotRetypable(
                f"the model uses field {slot} of {kind}, which this version of lading does not know",
                remedy="update lading, or convert the model with a released converter",
            )
