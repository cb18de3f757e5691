"""How far two tensors are apart: in quantization steps where they hold integers, absolute, relative and ULP else."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

STEPS: Final = 1
ATOL: Final = 1e-5
RTOL: Final = 1e-4


@dataclass(frozen=True)
class Element:
    """One element that differs."""

    index: tuple[int, ...]
    expected: float | int | bool | str
    got: float | int | bool | str

    def to_json(self) -> dict[str, Any]:
        """The element as it stands in documents."""
        return {**asdict(self), "index": list(self.index)}


@dataclass(frozen=True)
class Difference:
    """How one tensor differs from what is expected of it."""

    tensor: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    differing: int
    """Elements that are not equal."""
    over: int
    """Elements that are further apart than allowed."""
    unit: str
    """What ``worst`` counts: ``steps`` (integers), ``absolute`` (floats) or ``equal`` (nothing between)."""
    worst: float
    relative: float | None = None
    """Floats: the largest difference as a part of what is expected."""
    ulp: int | None = None
    """Floats: the largest difference in units in the last place."""
    first: Element | None = None
    """The first element that is too far apart; where none is, the first that is not equal."""
    wrong: str = ""
    """Why nothing could be compared: another type or shape."""

    @property
    def ok(self) -> bool:
        """Whether nothing is further apart than allowed."""
        return not self.over and not self.wrong

    def to_json(self) -> dict[str, Any]:
        """The difference as it stands in documents; a difference without end is null."""
        doc = asdict(self) | {"ok": self.ok, "shape": list(self.shape)}
        for key in ("worst", "relative"):
            if doc[key] is not None and not math.isfinite(doc[key]):
                doc[key] = None
        doc["first"] = self.first.to_json() if self.first else None
        return doc

    def sentence(self) -> str:
        """What differs, in words."""
        if self.wrong:
            return f"tensor '{self.tensor}' {self.wrong}"
        if not self.differing:
            return f"tensor '{self.tensor}' is equal in all {self.elements} elements"
        assert self.first is not None
        said = (
            f"tensor '{self.tensor}' ({self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}): "
            f"{self.over} of {self.elements} elements are too far apart, {self.differing} differ; "
            f"the first is {list(self.first.index)}: expected {self.first.expected}, got {self.first.got}; "
            f"at most {self.apart()}"
        )
        return said if self.over else said.replace(f"{self.over} of {self.elements}", "none of the", 1)

    def apart(self) -> str:
        """The largest difference: ``2 steps``, ``1.2e-07 (1 ULP, 3e-08 relative)``."""
        if self.unit == "steps":
            return f"{self.worst:g} step{'' if self.worst == 1 else 's'}"
        if self.unit == "equal":
            return "unequal" if self.differing else "equal"
        relative = "" if self.relative is None else f", {self.relative:.2g} relative"
        return f"{self.worst:.3g} ({self.ulp} ULP{relative})"


def difference(
    tensor: str,
    got: Array,
    expected: Array,
    *,
    steps: float = STEPS,
    atol: float = ATOL,
    rtol: float = RTOL,
    step: float | None = None,
) -> Difference:
    """Compare two tensors.

    Args:
        tensor: its name.
        got: what came.
        expected: what should have come; NaN equals NaN.
        steps: quantization steps that integers may be apart.
        atol: how far floats may be apart.
        rtol: in addition, as a part of what is expected.
        step: the size of one quantization step, for floats that stand for quantized values: they are then measured in
            ``steps``.
    """
    import numpy as np

    def refuse(why: str) -> Difference:
        return Difference(tensor, got.dtype.name, got.shape, int(got.size), 0, 0, "equal", 0.0, wrong=why)

    if got.dtype != expected.dtype:
        return refuse(f"is {got.dtype.name}, expected {expected.dtype.name}")
    if got.shape != expected.shape:
        return refuse(f"has shape {list(got.shape)}, expected {list(expected.shape)}")
    floats = got.dtype.kind == "f"
    with np.errstate(all="ignore"):
        same = (got == expected) | ((got != got) & (expected != expected))
        if got.dtype.kind in "iu":
            away = _integers_apart(got, expected)
            unit, allowed = "steps", np.full(got.shape, float(steps))
        elif floats:
            wide, size = expected.astype(np.float64), np.abs(expected.astype(np.float64))
            away = np.where(same, 0.0, np.abs(got.astype(np.float64) - wide))
            unit, allowed = "absolute", np.where(np.isfinite(size), atol + rtol * size, 0.0)
            if step is not None:
                away, unit, allowed = away / step, "steps", np.full(got.shape, float(steps))
        else:
            away, unit, allowed = (~same).astype(np.float64), "equal", np.zeros(got.shape)
        away = np.where(np.isnan(away), np.inf, away)
        # A difference of exactly so many steps is allowed, however the division by the step's size was rounded.
        over = ~(away <= allowed * (1 + 1e-6))
    return Difference(
        tensor=tensor,
        dtype=got.dtype.name,
        shape=got.shape,
        elements=int(got.size),
        differing=int((~same).sum()),
        over=int(over.sum()),
        unit=unit,
        worst=float(away.max()) if got.size else 0.0,
        relative=_relative(got, expected, same) if floats and got.size else None,
        ulp=_ulp(got, expected, same) if floats and got.size else None,
        first=_first(over if over.any() else ~same, got, expected),
    )


def _integers_apart(got: Array, expected: Array) -> Array:
    import numpy as np

    high, low = np.maximum(got, expected), np.minimum(got, expected)
    if got.dtype.itemsize < 8:
        return (high.astype(np.int64) - low.astype(np.int64)).astype(np.float64)
    return (high.astype(np.uint64) - low.astype(np.uint64)).astype(np.float64)  # right modulo 2**64


def _first(where: Array, got: Array, expected: Array) -> Element | None:
    import numpy as np

    if not where.any():
        return None
    at = int(np.argmax(where.reshape(-1)))
    index = tuple(int(i) for i in np.unravel_index(at, got.shape)) if got.shape else ()
    return Element(index, _plain(expected.reshape(-1)[at]), _plain(got.reshape(-1)[at]))


def _plain(value: Any) -> Any:
    plain = value.item()
    return str(plain) if isinstance(plain, float) and not math.isfinite(plain) else plain


def _relative(got: Array, expected: Array, same: Array) -> float:
    import numpy as np

    with np.errstate(all="ignore"):
        wide = expected.astype(np.float64)
        part = np.abs(got.astype(np.float64) - wide) / np.abs(wide)
    part = np.where(same, 0.0, np.where(np.isnan(part), np.inf, part))
    return float(part.max())


def _ulp(got: Array, expected: Array, same: Array) -> int:
    """The largest distance in representable numbers between."""
    import numpy as np

    bits = got.dtype.itemsize * 8
    unsigned = np.dtype(f"u{got.dtype.itemsize}")
    sign = unsigned.type(1 << (bits - 1))

    def ordered(array: Array) -> Array:
        raw = np.ascontiguousarray(array).view(unsigned).reshape(array.shape)
        placed: Array = np.where(raw & sign, sign - (raw & ~sign), raw | sign)  # both zeros are one
        return placed

    a, b = ordered(got), ordered(expected)
    return int(np.where(same, unsigned.type(0), np.maximum(a, b) - np.minimum(a, b)).max())
