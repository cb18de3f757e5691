"""The inputs and outputs of a TFLite model, read from its file without an interpreter."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

IDENTIFIER: Final = b"TFL3"

DTYPES: Final = {
    0: "float32",
    1: "float16",
    2: "int32",
    3: "uint8",
    4: "int64",
    6: "bool",
    7: "int16",
    9: "int8",
    10: "float64",
    12: "uint64",
    15: "uint32",
    16: "uint16",
}
"""TFLite's tensor type numbers by numpy's names, as far as a golden vector can hold them."""

MAX_TENSORS: Final = 4096


@dataclass(frozen=True)
class TensorInfo:
    """One input or output. ``shape`` has -1 where a dimension is free."""

    name: str
    """The name in the signature, or the tensor's own where the model has no signature."""
    tensor_name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None = None
    zero_point: int | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.dtype} {list(self.shape)})"


@dataclass(frozen=True)
class ModelIo:
    """Inputs and outputs in the order in which wasi-nn numbers them."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


def find(tensors: Sequence[TensorInfo], name: str) -> TensorInfo | None:
    """The tensor that goes by ``name``: in the signature first, then in the graph."""
    for tensor in tensors:
        if tensor.name == name:
            return tensor
    return next((tensor for tensor in tensors if tensor.tensor_name == name), None)


def is_tflite(path: Path) -> bool:
    """Whether the file carries TFLite's identifier."""
    with path.open("rb") as file:
        return file.read(8)[4:8] == IDENTIFIER


def read_io(path: Path) -> ModelIo:
    """Inputs and outputs of the model in ``path``.

    Raises:
        ModelError: it is not a TFLite model, or a damaged one.
    """
    import tflite

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            _check_identifier(view[4:8], path)
            return _read(tflite.Model.GetRootAsModel(view, 0))
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", remedy="Correct its path.") from None
    except ModelError:
        raise
    except Exception as error:
        # The generated readers follow offsets blindly: a damaged file can end in any exception.
        raise ModelError(
            f"{path} is a damaged TFLite model: its inputs and outputs cannot be read", remedy="Convert it again."
        ) from error


def _check_identifier(found: bytes, path: Path) -> None:
    if found != IDENTIFIER:
        raise ModelError(
            f"{path} is not a TFLite model: it does not carry the identifier TFL3",
            remedy="Convert the model to TFLite, or give the right encoding.",
        )


def _read(model: Any) -> ModelIo:
    graph = model.Subgraphs(0)
    names: dict[str, dict[int, str]] = {"inputs": {}, "outputs": {}}
    if model.SignatureDefsLength():
        signature = model.SignatureDefs(0)
        if signature.SubgraphIndex() == 0:
            names["inputs"] = _names(signature.InputsLength(), signature.Inputs)
            names["outputs"] = _names(signature.OutputsLength(), signature.Outputs)
    return ModelIo(
        inputs=tuple(_tensor(graph, graph.Inputs(i), names["inputs"]) for i in range(_few(graph.InputsLength()))),
        outputs=tuple(_tensor(graph, graph.Outputs(i), names["outputs"]) for i in range(_few(graph.OutputsLength()))),
    )


def _few(count: int) -> int:
    if count > MAX_TENSORS:
        raise ValueError(f"{count} tensors")
    return count


def _names(count: int, at: Any) -> dict[int, str]:
    return {at(i).TensorIndex(): at(i).Name().decode() for i in range(_few(count))}


def _tensor(graph: Any, index: int, names: dict[int, str]) -> TensorInfo:
    tensor = graph.Tensors(index)
    own = tensor.Name().decode()
    free = tensor.ShapeSignatureLength() == tensor.ShapeLength() > 0
    shape = tensor.ShapeSignature if free else tensor.Shape
    quantization = tensor.Quantization()
    single = quantization is not None and quantization.ScaleLength() == quantization.ZeroPointLength() == 1
    return TensorInfo(
        name=names.get(index, own),
        tensor_name=own,
        dtype=DTYPES.get(tensor.Type(), f"type {tensor.Type()}"),
        shape=tuple(int(shape(i)) for i in range(_few(tensor.ShapeLength()))),
        scale=float(quantization.Scale(0)) if single else None,
        zero_point=int(quantization.ZeroPoint(0)) if single else None,
    )
