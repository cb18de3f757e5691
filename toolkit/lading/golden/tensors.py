"""Tensor files: ``.npy`` for people, raw little-endian bytes in C order for devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lading.errors import ProjectError
from lading.files import open_regular
from lading_agent.bill import DTYPE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lading_agent.nn.facts import TensorFacts

    Array = npt.NDArray[Any]

MAX_TENSOR_BYTES: Final = 256 * 1024 * 1024


def load_npy(path: Path, key: str) -> Array:
    """The array in an ``.npy`` file.

    Args:
        path: the file.
        key: where the project names it, for messages.

    Raises:
        ProjectError: it cannot be read, holds objects, or is too large.
    """
    import numpy as np

    remedy = "save it with numpy.save(path, array)"
    try:
        open_regular(path).close()  # np.load would wait for a pipe
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise ProjectError(
            f"{key}: {path} cannot be read: {error.strerror or error}",
            remedy="correct the path; `lading golden record` writes the outputs",
        ) from None
    except (ValueError, EOFError, SyntaxError, OverflowError) as error:
        raise ProjectError(f"{key}: {path} is not an .npy file of numbers: {error}", remedy=remedy) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise ProjectError(f"{key}: {path} is an archive of arrays, not one .npy file", remedy=remedy)
    if array.dtype.name not in DTYPE_BYTES:
        raise ProjectError(
            f"{key}: {path} holds {array.dtype}, which no tensor has", remedy="convert it to the tensor's type"
        )
    if array.nbytes > MAX_TENSOR_BYTES:
        raise ProjectError(
            f"{key}: {path} holds {array.nbytes} bytes; a golden tensor has at most {MAX_TENSOR_BYTES}",
            remedy="choose a smaller vector",
        )
    return array


def raw(array: Array) -> bytes:
    """The array's elements as a device wants them: little-endian, C order."""
    return array.astype(array.dtype.newbyteorder("<"), order="C", copy=False).tobytes("C")


def check_fits(array: Array, tensor: TensorFacts, label: str, key: str, path: Path) -> None:
    """Refuse an array that is not the tensor's type and shape.

    Raises:
        ProjectError: names both.
    """
    has = f"the model's tensor '{label}' is {tensor.dtype} {list(tensor.shape)}"
    if array.dtype.name != tensor.dtype:
        raise ProjectError(f"{key}: {path} holds {array.dtype.name}, but {has}", remedy=f"save it as {tensor.dtype}")
    if array.shape != tensor.shape:
        raise ProjectError(
            f"{key}: {path} has shape {list(array.shape)}, but {has}",
            remedy="reshape it (a batch of one is a dimension too)",
        )
