"""Golden vectors of a model for the same model with other types at its inputs and outputs.

The numbers that a vector stands for stay: integers become the f32 numbers that they mean, f32 the nearest integers.
A tolerance of so many quantization steps becomes as many times the scale, and the reverse.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from lading.bundle.content import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from lading_agent.bill import Golden, Tensor
    from lading_agent.nn.facts import ModelFacts, TensorFacts

ROUNDING: Final = 1e-3
"""Steps that f32 arithmetic at the edge may be off."""

_INTEGERS: Final = ("int8", "uint8")


def converted(
    golden: Golden, before: ModelFacts, after: ModelFacts, read: Callable[[str], bytes]
) -> tuple[Golden, list[Bytes]]:
    """A vector for a retyped model.

    Args:
        golden: the vector of the model as it was given.
        before: that model's facts.
        after: those of the retyped one.
        read: gives the content of a tensor by its digest.

    Returns:
        The vector, and the contents that it has beside those that there were.
    """
    contents: list[Bytes] = []

    def tensors(
        given: tuple[Tensor, ...], place: Callable[[str], int | None], old: ModelFacts, *, inputs: bool
    ) -> tuple[Tensor, ...]:
        made = []
        for tensor in given:
            position = place(tensor.tensor)
            assert position is not None
            source = (old.inputs if inputs else old.outputs)[position]
            goal = (after.inputs if inputs else after.outputs)[position]
            if source.dtype == goal.dtype:
                made.append(tensor)
                continue
            values = _convert(_array(read(tensor.digest), tensor), source, goal)
            content = Bytes.of(values.tobytes())
            contents.append(content)
            made.append(replace(tensor, dtype=goal.dtype, digest=content.digest, size=content.size))
        return tuple(made)

    result = replace(
        golden,
        inputs=tensors(golden.inputs, before.input_named, before, inputs=True),
        outputs=tensors(golden.outputs, before.output_named, before, inputs=False),
    )
    return _with_tolerance(result, golden, before, after, read), contents


def _with_tolerance(
    result: Golden, golden: Golden, before: ModelFacts, after: ModelFacts, read: Callable[[str], bytes]
) -> Golden:
    import numpy as np

    atol, tolerance, floats = 0.0, golden.tolerance, False
    for tensor in golden.outputs:
        position = before.output_named(tensor.tensor)
        assert position is not None
        source, goal = before.outputs[position], after.outputs[position]
        if source.dtype == goal.dtype:
            floats = floats or source.dtype not in _INTEGERS
        elif goal.dtype == "float32":
            atol = max(atol, (golden.tolerance + ROUNDING) * source.scale)
        elif source.dtype == "float32":
            values = _array(read(tensor.digest), tensor)
            most = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
            steps = (golden.atol + golden.rtol * most) / goal.scale
            tolerance = max(tolerance, 1, math.ceil(min(steps, 255.0)))
    if atol and not floats:
        return replace(result, tolerance=tolerance, atol=atol, rtol=0.0)
    return replace(result, tolerance=tolerance, atol=max(atol, golden.atol))


def _array(data: bytes, tensor: Tensor) -> np.ndarray:
    import numpy as np

    return np.frombuffer(data, np.dtype(tensor.dtype).newbyteorder("<")).reshape(tensor.shape)


def _convert(values: np.ndarray, source: TensorFacts, goal: TensorFacts) -> np.ndarray:
    import numpy as np

    if goal.dtype == "float32":
        numbers = np.float32(source.scale) * (values.astype(np.int32) - source.zero_point).astype(np.float32)
        return np.asarray(numbers, dtype="<f4")
    low = int(np.iinfo(goal.dtype).min)
    if source.dtype == "float32":
        steps = values.astype(np.float64) / goal.scale
        levels = np.sign(steps) * np.floor(np.abs(steps) + 0.5) + goal.zero_point
        return np.asarray(np.clip(np.nan_to_num(levels), low, low + 255), dtype=goal.dtype)
    return np.asarray(values.astype(np.int16) - int(np.iinfo(source.dtype).min) + low, dtype=goal.dtype)
