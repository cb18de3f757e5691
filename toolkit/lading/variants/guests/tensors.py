"""Code that turns tensor data from one type into another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests.abi import WIDTH
from lading.variants.guests.assemble import Function

if TYPE_CHECKING:
    from lading.variants.guests.abi import Conversion

_RANGE: Final = {"uint8": (0, 255), "int8": (-128, 127)}
_LOAD: Final = {"uint8": "i32.load8_u 0", "int8": "i32.load8_s 0"}
_MOST: Final = 1 << 28


def checked(conversion: Conversion) -> Conversion:
    """A conversion that can be done.

    Raises:
        NotAdaptable: it cannot; says why.
    """
    what = f"{conversion.direction} {conversion.index}"
    remedy = "take scale, zero point and number of elements from the model"
    kinds = (conversion.guest, conversion.host)
    if any(kind not in WIDTH for kind in kinds):
        raise NotAdaptable(
            f"{what}: data cannot be turned from {kinds[0]} to {kinds[1]}", remedy="float32, int8, uint8"
        )
    if kinds[0] == kinds[1]:
        raise NotAdaptable(f"{what}: {kinds[0]} is not to be turned into itself", remedy="leave the conversion away")
    if not 0 < conversion.count <= _MOST or conversion.index < 0:
        raise NotAdaptable(f"{what} has {conversion.count} elements", remedy=remedy)
    integers = next(kind for kind in kinds if kind in _RANGE)
    low, high = _RANGE[integers]
    if not (math.isfinite(conversion.scale) and conversion.scale > 0) or not low <= conversion.zero_point <= high:
        raise NotAdaptable(
            f"{what} has the scale {conversion.scale} and the zero point {conversion.zero_point}", remedy=remedy
        )
    return conversion


def converter(name: str, source: str, target: str, conversion: Conversion) -> Function:
    """A function ``(from, to)`` that turns a whole tensor from ``source`` into ``target``.

    f32 becomes an integer as the reference does it: in f64, rounded half away from zero, clipped; NaN becomes the zero
    point. Integers become f32 in f32.
    """
    locals_: tuple[tuple[str, str], ...] = (("left", "i32"),)
    if source == "float32":
        value, locals_ = _quantized(target, conversion), (*locals_, ("x", "f64"))
        put = f"{value} local.get to local.get x i32.trunc_f64_s i32.store8 0"
    elif target == "float32":
        put = f"local.get to local.get from {_LOAD[source]} {_dequantized(conversion)} f32.store 0"
    else:
        put = "local.get to local.get from i32.load8_u 0 i32.const 128 i32.xor i32.store8 0"
    text = f"""i32.const {conversion.count} local.set left
      loop
        {put}
        local.get from i32.const {WIDTH[source]} i32.add local.set from
        local.get to i32.const {WIDTH[target]} i32.add local.set to
        local.get left i32.const 1 i32.sub local.tee left br_if 0
      end"""
    return Function(name, (("from", "i32"), ("to", "i32")), (), text, locals_)


def _dequantized(conversion: Conversion) -> str:
    nudge = f"f32.const {conversion.nudge!r} f32.add" if conversion.nudge else ""
    return f"""i32.const {conversion.zero_point} i32.sub f32.convert_i32_s {nudge}
      f32.const {conversion.scale!r} f32.mul"""


def _quantized(target: str, conversion: Conversion) -> str:
    low, high = _RANGE[target]
    return f"""local.get from f32.load 0 f64.promote_f32 f64.const {conversion.scale!r} f64.div local.set x
      local.get x local.get x f64.ne if f64.const 0 local.set x end
      local.get x f64.const 0.5 local.get x f64.copysign f64.add f64.trunc
      f64.const {conversion.zero_point} f64.add local.set x
      local.get x f64.const {low} f64.lt if f64.const {low} local.set x end
      local.get x f64.const {high} f64.gt if f64.const {high} local.set x end"""
