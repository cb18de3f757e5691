"""Golden vectors: the bare model, given inputs, expected outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Optional

from lading_agent.nn.engine import Inference, Refused

if TYPE_CHECKING:
    from lading_agent.nn.facts import ModelFacts, TensorFacts
    from lading_agent.nn.models import Models
    from lading_agent.runs.spec import GoldenSpec, TensorFile


class BadVector(ValueError):
    """A vector that does not fit its model."""


def compare(models: Models, golden: GoldenSpec) -> Dict[str, Any]:
    """Run one vector.

    Returns:
        The fields of a ``golden`` event, without ``index``.

    Raises:
        BadVector: no such model or tensor, or another type or shape.
        Refused: the interpreter does not take the model.
    """
    held = models.find(golden.model.encode())
    if held is None:
        raise BadVector(f"there is no model named '{golden.model}'")
    live = models.live(held)
    inference, facts = live.inference, live.inference.facts
    for file in golden.inputs:
        position = facts.input_named(file.tensor)
        if position is None:
            raise BadVector(f"model '{golden.model}' has no input '{file.tensor}', but {_names(facts.inputs)}")
        value = _read(file, facts.inputs[position])
        inference.inputs[position]()[...] = value
    inference.invoke()
    result: Dict[str, Any] = {"model": golden.model, "ok": True, "compared": 0, "worst": 0.0, "mismatch": None}
    for file in golden.outputs:
        _compare_output(inference, facts, file, golden, result)
    return result


def _compare_output(
    inference: Inference, facts: ModelFacts, file: TensorFile, golden: GoldenSpec, result: Dict[str, Any]
) -> None:
    import numpy as np

    position = facts.output_named(file.tensor)
    if position is None:
        raise BadVector(f"model '{golden.model}' has no output '{file.tensor}', but {_names(facts.outputs)}")
    got = inference.outputs[position]().copy()
    expected = _load(file)
    if str(got.dtype) != file.dtype or tuple(got.shape) != tuple(file.shape):
        raise BadVector(
            f"output '{file.tensor}' of model '{golden.model}' is {got.dtype} {list(got.shape)}, "
            f"the vector expects {file.dtype} {list(file.shape)}"
        )
    result["compared"] += int(got.size)
    if not got.size:
        return
    if got.dtype.kind in "iu":
        away = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        allowed: Any = np.full(got.shape, float(golden.tolerance))
        unit = "steps"
    elif got.dtype.kind == "f":
        with np.errstate(all="ignore"):
            away = np.abs(got.astype(np.float64) - expected.astype(np.float64))
        away = np.where((got == expected) | (np.isnan(got) & np.isnan(expected)), 0.0, away)
        size = np.abs(expected.astype(np.float64))
        allowed = np.where(np.isfinite(size), golden.atol + golden.rtol * size, 0.0)
        unit = "absolute"
    else:
        away, allowed, unit = (got != expected).astype(np.float64), np.zeros(got.shape), "equal"
    excess = np.where(np.isnan(away), np.inf, away)
    result["worst"] = max(result["worst"], _finite(float(excess.max())))
    wrong = ~(excess <= allowed)
    if not wrong.any() or result["mismatch"] is not None:
        return
    at = int(np.argmax(np.where(wrong, excess - np.where(np.isfinite(allowed), allowed, 0.0), -np.inf)))
    index = [int(i) for i in np.unravel_index(at, got.shape)] if got.shape else []
    result["ok"] = False
    result["mismatch"] = {
        "tensor": file.tensor,
        "at": at,
        "index": index,
        "expected": _plain(expected.reshape(-1)[at]),
        "got": _plain(got.reshape(-1)[at]),
        "tolerance": _finite(float(np.broadcast_to(allowed, got.shape).reshape(-1)[at])),
        "unit": unit,
    }


def _finite(value: float) -> float:
    return min(value, 1.7e308) if value == value else 1.7e308


def _plain(value: Any) -> Any:
    plain = value.item()
    if isinstance(plain, float) and (plain != plain or plain in (float("inf"), float("-inf"))):
        return str(plain)
    return plain


def _load(file: TensorFile) -> Any:
    import numpy as np

    data = Path(file.path).read_bytes()
    try:
        dtype = np.dtype(file.dtype).newbyteorder("<")
        return np.frombuffer(data, dtype=dtype).reshape(file.shape)
    except (ValueError, TypeError) as error:
        raise BadVector(f"the vector for '{file.tensor}' is not {file.dtype} {list(file.shape)}: {error}") from error


def _read(file: TensorFile, facts: TensorFacts) -> Any:
    value = _load(file)
    if file.dtype != facts.dtype or tuple(file.shape) != facts.shape:
        raise BadVector(
            f"input '{file.tensor}' is {facts.describe()}, the vector has {file.dtype} {'x'.join(map(str, file.shape))}"
        )
    return value


def _names(tensors: Any) -> str:
    return ", ".join(f"'{t.name}'" for t in tensors[:8]) or "none"


def describe(result: Dict[str, Any], index: int) -> Optional[str]:
    """A sentence for a mismatch; ``None`` when there is none."""
    found = result["mismatch"]
    if found is None:
        return None
    return (
        f"golden vector {index} of model '{result['model']}': {found['tensor']}{found['index']} is {found['got']}, "
        f"expected {found['expected']} (tolerance {found['tolerance']:g} {found['unit']})"
    )


__all__ = ["BadVector", "Refused", "compare", "describe"]
