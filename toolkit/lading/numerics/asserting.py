"""Comparing tensors in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def assert_tensors_close(
    actual: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    expected: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    *,
    steps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    step: float | None = None,
    tensor: str = "tensor",
) -> None:
    """Assert that a tensor, or a set of named ones, is what is expected, within quantization steps.

    Args:
        actual: an array, or arrays by name.
        expected: the same.
        steps: quantization steps that integers may be apart; 1 when left out.
        atol: how far floats may be apart; 1e-5 when left out.
        rtol: in addition, as a part of what is expected; 1e-4 when left out.
        step: the size of one quantization step (the tensor's scale), for floats that stand for quantized values: they
            are then compared in ``steps``.
        tensor: the name of a single array, for the message.

    Raises:
        AssertionError: says which tensor, how many elements, the first of them, what was expected and what came.
    """
    import numpy as np

    from lading.numerics.difference import ATOL, RTOL, STEPS, difference

    __tracebackhide__ = True
    given, wanted = _named(actual, tensor), _named(expected, tensor)
    wrong: list[str] = [f"tensor '{name}' is missing" for name in wanted if name not in given]
    wrong += [f"tensor '{name}' is not expected" for name in given if name not in wanted]
    for name in wanted:
        if name in given:
            found = difference(
                name,
                np.asarray(given[name]),
                np.asarray(wanted[name]),
                steps=STEPS if steps is None else steps,
                atol=ATOL if atol is None else atol,
                rtol=RTOL if rtol is None else rtol,
                step=step,
            )
            if not found.ok:
                wrong.append(found.sentence())
    if wrong:
        raise AssertionError("\n".join(wrong))


def _named(value: Any, tensor: str) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {tensor: value}
