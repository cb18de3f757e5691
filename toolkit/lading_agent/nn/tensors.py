"""Tensor bytes between guest memory and interpreter: one copy each way, quantized on the way where asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Optional

if TYPE_CHECKING:
    from lading_agent.nn.facts import TensorFacts
    from lading_agent.nn.memory import GuestMemory

TensorView = Callable[[], Any]
"""Gives a fresh numpy view of a tensor. It must be let go before the interpreter runs again."""


def flat_bytes(tensor: Any) -> memoryview:
    """A tensor's memory as bytes, in place."""
    import numpy as np

    return memoryview(tensor.reshape(-1).view(np.uint8))


def castable(tensor: TensorView) -> Optional[TensorView]:
    """A view of the same tensor whose ``memoryview`` casts to bytes at once, or ``None`` where there is none."""
    import numpy as np

    views = (tensor, lambda: tensor().view(np.uint16)) if tensor().itemsize == 2 else (tensor,)
    for view in views:
        try:
            memoryview(view()).cast("B")
        except (TypeError, ValueError, BufferError):
            continue
        return view
    return None


def put(how: str, facts: TensorFacts, tensor: TensorView, memory: GuestMemory, at: int, nbytes: int) -> None:
    """Fill an input from guest memory.

    Args:
        how: ``copy``, ``quantize`` or ``truncate`` (guest memory holds f32).
        facts: the input.
        tensor: its view.
        memory: where the data is; the range has been checked.
        at: offset of the data.
        nbytes: its length.
    """
    if not nbytes:
        return
    if how == "copy":
        flat_bytes(tensor())[:] = memory.view[at : at + nbytes]
        return
    import numpy as np

    values = np.frombuffer(memory.view[at : at + nbytes], dtype="<f4")
    target = tensor()
    convert = truncated if how == "truncate" else quantized
    target.reshape(-1)[:] = convert(values, facts, target.dtype)


def truncated(values: Any, facts: TensorFacts, dtype: Any) -> Any:
    """Real numbers as a tensor's integers by C casts: in float32, cut off, wrapped to the type's bits."""
    import numpy as np

    with np.errstate(all="ignore"):
        steps = values / np.float32(facts.scale) + np.float32(facts.zero_point)
        inside = (steps > -(2.0**31)) & (steps < 2.0**31)
        # A number that int32 cannot hold becomes its lowest one on x86-64, whose low bits are zero.
        return np.where(inside, steps, np.float32(0)).astype(np.int32).astype(dtype)


def quantized(values: Any, facts: TensorFacts, dtype: Any) -> Any:
    """Real numbers as a tensor's integers: rounded half away from zero, clipped; NaN stands for zero."""
    import numpy as np

    info = np.iinfo(dtype)
    with np.errstate(all="ignore"):
        steps = values.astype(np.float64) / facts.scale
        steps = np.trunc(steps + np.copysign(0.5, steps)) + facts.zero_point
    steps = np.nan_to_num(steps, nan=facts.zero_point, posinf=info.max, neginf=info.min)
    return np.clip(steps, info.min, info.max).astype(dtype)


def get(how: str, facts: TensorFacts, tensor: TensorView, memory: GuestMemory, at: int, nbytes: int) -> None:
    """Copy an output to guest memory; the range has been checked.

    Args:
        how: ``copy``, or ``dequantize`` (guest memory gets f32).
        facts: the output.
        tensor: its view.
        memory: where the data goes.
        at: offset.
        nbytes: bytes in guest memory.
    """
    if not nbytes:
        return
    if how == "copy":
        memory.view[at : at + nbytes] = flat_bytes(tensor())[:nbytes]
        return
    import numpy as np

    values = (tensor().reshape(-1).astype(np.float32) - np.float32(facts.zero_point)) * np.float32(facts.scale)
    # A host that counts sizes its own way may think of another length than the tensor has.
    found = memoryview(values.astype("<f4").view(np.uint8))[:nbytes]
    memory.view[at : at + len(found)] = found


def fill_zero(facts: TensorFacts, tensor: TensorView) -> None:
    """Real zeros: a quantized tensor gets its zero point."""
    import numpy as np

    view = tensor()
    zero = facts.zero_point if facts.quantized else 0
    # A damaged model's zero point may be any number: its low bits count.
    view.fill(np.array(zero, np.int64).astype(view.dtype) if zero else 0)
