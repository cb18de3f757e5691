"""Per-tensor quantization of one byte, as a value: what int8 and uint8 have in common."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.tflite.model import Quantization

FLOAT: Final = "float32"
INTEGERS: Final[Mapping[str, int]] = {"int8": -128, "uint8": 0}
"""The integer types that an edge may have, with the smallest value of each."""

COUNTS: Final = frozenset({"bool", "int32", "int64", "string", "uint32", "uint64"})
"""Types that hold no real numbers, unless they are quantized."""

DTYPES: Final = (FLOAT, *INTEGERS)
"""The types that an input or output can be given."""


class Steps(NamedTuple):
    """real = scale x (level - origin), with levels 0 to 255 whatever the type calls them."""

    scale: float
    origin: int

    def zero_point(self, dtype: str) -> int:
        """The zero point that a type writes for it."""
        return self.origin + INTEGERS[dtype]


def steps_of(quantization: Quantization | None, dtype: str) -> Steps | str:
    """The quantization of an int8 or uint8 tensor, or why it has none that could be moved to another type."""
    if quantization is None:
        return "has no scale: its bytes are numbers of their own"
    if quantization.per_channel:
        return f"is quantized per channel ({len(quantization.scales)} scales), not per tensor"
    scale, zero_point = quantization.scales[0], quantization.zero_points[0]
    if not math.isfinite(scale) or scale <= 0:
        return f"has the scale {scale}"
    origin = zero_point - INTEGERS[dtype]
    if not 0 <= origin <= 255:
        return f"has the zero point {zero_point}, which {dtype} cannot hold"
    return Steps(scale, origin)
