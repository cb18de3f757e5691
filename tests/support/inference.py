"""Models run in LiteRT's Python interpreter, and their tensors as numbers of other types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from lading.tflite.model import Tensor

    Array = npt.NDArray[Any]


def infer(model: bytes, feeds: Sequence[Sequence[Array]], *, delegates: bool = True) -> list[list[Array]]:
    """The outputs for each list of inputs, all by one interpreter."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = {} if delegates else {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    interpreter = Interpreter(model_content=model, **plain)
    interpreter.allocate_tensors()
    outputs = []
    for feed in feeds:
        for details, array in zip(interpreter.get_input_details(), feed, strict=True):
            interpreter.set_tensor(details["index"], array)
        interpreter.invoke()
        outputs.append([interpreter.get_tensor(d["index"]).copy() for d in interpreter.get_output_details()])
    return outputs


def random_feed(tensors: Sequence[Tensor], seed: int) -> list[Array]:
    """An array of any values for each input."""
    random = np.random.default_rng(seed)
    feed = []
    for tensor in tensors:
        dtype, shape = np.dtype(tensor.dtype), [max(d, 1) for d in tensor.shape]
        if dtype.kind == "f":
            feed.append(random.standard_normal(shape).astype(dtype))
        elif dtype.kind == "b":
            feed.append(random.integers(0, 2, shape).astype(dtype))
        else:
            limits = np.iinfo(dtype) if dtype.itemsize == 1 else np.iinfo(np.int8)
            feed.append(random.integers(limits.min, limits.max + 1, shape).astype(dtype))
    return feed


def converted(array: Array, want: str, scale: float, zero_point: int) -> Array:
    """An int8 or uint8 array of a tensor as another type has the same numbers: f32, or the other integer.

    Args:
        array: levels.
        want: the type.
        scale: of the tensor.
        zero_point: of the tensor, as the array's own type has it.
    """
    if array.dtype == want:
        return array
    levels = array.astype(np.int64)
    if want == "float32":
        return ((levels - zero_point) * np.float32(scale)).astype(np.float32)
    return (levels + (128 if want == "uint8" else -128)).astype(want)


def levels(array: Array, dtype: str, scale: float, zero_point: int) -> Array:
    """f32 numbers as the integers that stand for them."""
    limits = np.iinfo(dtype)
    nearest: Array = np.clip(np.rint(array.astype(np.float64) / scale) + zero_point, limits.min, limits.max)
    return nearest.astype(dtype)
