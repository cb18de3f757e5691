"""What younger instructions do, in instructions of WebAssembly's first version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.variants.guests.assemble import Function, signed
from lading.variants.guests.helpers import INSIDE

if TYPE_CHECKING:
    from collections.abc import Mapping


def _extension(bits: int, *, wide: bool) -> bytes:
    """``(x << n) >> n`` with the sign."""
    constant = (b"\x42" if wide else b"\x41") + signed((64 if wide else 32) - bits)
    return constant + (b"\x86" if wide else b"\x74") + constant + (b"\x87" if wide else b"\x75")


EXTENSIONS: Final[Mapping[int, bytes]] = {
    0xC0: _extension(8, wide=False),
    0xC1: _extension(16, wide=False),
    0xC2: _extension(8, wide=True),
    0xC3: _extension(16, wide=True),
    0xC4: _extension(32, wide=True),
}
"""Code for each instruction that extends a sign."""


def _truncation(to: str, source: str, sign: str) -> Function:
    """NaN is 0, what is too small or too large the least or most number."""
    bits = int(to[1:])
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if sign == "s" else (0, (1 << bits) - 1)
    return Function(
        f"lowered.{to}_{source}_{sign}",
        (("x", source),),
        (to,),
        f"""local.get x local.get x {source}.ne if {to}.const 0 return end
            local.get x {source}.const {float(low)!r} {source}.le if {to}.const {low} return end
            local.get x {source}.const {float(high + 1)!r} {source}.ge if {to}.const {high} return end
            local.get x {to}.trunc_{source}_{sign}""",
    )


_TRUNCATIONS: Final = [
    _truncation(to, source, sign) for to in ("i32", "i64") for source in ("f32", "f64") for sign in ("s", "u")
]
TRUNCATIONS: Final[Mapping[int, str]] = {number: f.name for number, f in enumerate(_TRUNCATIONS)}
"""By the number behind 0xfc, the function that saturates like it."""

_THREE: Final = "local.get {0} i32.const {2} i32.{1} local.set {0} "


def _moved(step: int, *names: str, back: bool = False) -> str:
    return "".join(_THREE.format(name, "sub" if back else "add", step) for name in names)


_COPY: Final = Function(
    "lowered.copy",
    (("to", "i32"), ("from", "i32"), ("n", "i32")),
    (),
    f"""local.get to local.get n call adapter.inside local.get from local.get n call adapter.inside
        i32.and i32.eqz if unreachable end
        local.get to local.get from i32.le_u if
          block loop
            local.get n i32.const 8 i32.lt_u br_if 1
            local.get to local.get from i64.load 0 i64.store 0
            {_moved(8, "to", "from")} {_moved(8, "n", back=True)} br 0
          end end
          block loop
            local.get n i32.eqz br_if 1
            local.get to local.get from i32.load8_u 0 i32.store8 0
            {_moved(1, "to", "from")} {_moved(1, "n", back=True)} br 0
          end end
          return
        end
        local.get to local.get n i32.add local.set to
        local.get from local.get n i32.add local.set from
        block loop
          local.get n i32.const 8 i32.lt_u br_if 1
          {_moved(8, "to", "from", "n", back=True)}
          local.get to local.get from i64.load 0 i64.store 0 br 0
        end end
        block loop
          local.get n i32.eqz br_if 1
          {_moved(1, "to", "from", "n", back=True)}
          local.get to local.get from i32.load8_u 0 i32.store8 0 br 0
        end end""",
)
_FILL: Final = Function(
    "lowered.fill",
    (("to", "i32"), ("value", "i32"), ("n", "i32")),
    (),
    f"""local.get to local.get n call adapter.inside i32.eqz if unreachable end
        local.get value i32.const 255 i32.and i64.extend_i32_u i64.const 0x0101010101010101 i64.mul local.set eight
        block loop
          local.get n i32.const 8 i32.lt_u br_if 1
          local.get to local.get eight i64.store 0
          {_moved(8, "to")} {_moved(8, "n", back=True)} br 0
        end end
        block loop
          local.get n i32.eqz br_if 1
          local.get to local.get value i32.store8 0
          {_moved(1, "to")} {_moved(1, "n", back=True)} br 0
        end end""",
    (("eight", "i64"),),
)
BULK: Final[Mapping[int, str]] = {10: _COPY.name, 11: _FILL.name}
"""By the number behind 0xfc, the function that copies or fills."""

FUNCTIONS: Final[Mapping[str, Function]] = {f.name: f for f in (*_TRUNCATIONS, _COPY, _FILL)}


def called(name: str) -> tuple[Function, ...]:
    """What a function calls."""
    return (INSIDE,) if name in BULK.values() else ()
