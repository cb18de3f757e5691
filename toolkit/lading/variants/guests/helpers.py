"""Functions that several adapters share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.variants.guests.assemble import Function
from lading.variants.guests.models import KNOWN, NOTE

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE: Final = 65536

INSIDE: Final = Function(
    "adapter.inside",
    (("at", "i32"), ("size", "i32")),
    ("i32",),
    """local.get at i64.extend_i32_u local.get size i64.extend_i32_u i64.add
       memory.size i64.extend_i32_u i64.const 16 i64.shl i64.le_u""",
)
"""Whether so many bytes lie inside memory."""

COUNT: Final = Function(
    "adapter.count",
    (("at", "i32"), ("n", "i32")),
    ("i32",),
    """i32.const 1 local.set product
       block loop
         local.get n i32.eqz br_if 1
         local.get product local.get at i32.load 0 i32.mul local.set product
         local.get at i32.const 4 i32.add local.set at
         local.get n i32.const 1 i32.sub local.set n
         br 0
       end end
       local.get product""",
    (("product", "i32"),),
)
"""The product of so many dimensions."""

FLOATS: Final = Function(
    "adapter.floats",
    (("at", "i32"), ("words", "i32")),
    ("i32",),
    """local.get words i64.extend_i32_u i64.const 2 i64.shl local.set wanted
       memory.size i64.extend_i32_u i64.const 16 i64.shl local.get at i64.extend_i32_u i64.sub local.set there
       local.get there local.get wanted i64.lt_u if local.get there local.set wanted end
       local.get at i64.extend_i32_u memory.size i64.extend_i32_u i64.const 16 i64.shl i64.gt_u
       if i32.const 0 return end
       local.get wanted i64.const 0xffffffff i64.gt_u if i32.const -1 return end
       local.get wanted i32.wrap_i64""",
    (("wanted", "i64"), ("there", "i64")),
)
"""Bytes of so many f32 numbers, as far as memory goes: a guest may say more than there is."""


def _avoided(piece: int) -> str:
    """Go behind a piece of memory that the place lies in."""
    return f"""
      local.get at local.get end{piece} i64.lt_u
      local.get at{piece} i64.extend_i32_u local.get at local.get size i64.extend_i32_u i64.add i64.lt_u
      i32.and if
        local.get end{piece} i64.const 7 i64.add i64.const -8 i64.and local.set at br 1
      end"""


_PIECES: Final = range(4)
ROOM: Final = Function(
    "adapter.room",
    (("size", "i32"), *(pair for i in _PIECES for pair in ((f"at{i}", "i32"), (f"size{i}", "i32")))),
    ("i32",),
    "".join(
        f"local.get at{i} i64.extend_i32_u local.get size{i} i64.extend_i32_u i64.add local.set end{i} "
        for i in _PIECES
    )
    + "i64.const 16 local.set at loop"
    + "".join(_avoided(i) for i in _PIECES)
    + """ end
       local.get at local.get size i64.extend_i32_u i64.add
       memory.size i64.extend_i32_u i64.const 16 i64.shl i64.gt_u
       if i32.const -1 return end
       local.get at i32.wrap_i64""",
    (("at", "i64"), *((f"end{i}", "i64") for i in _PIECES)),
)
"""The lowest place of so many bytes outside of four pieces of memory; -1 if there is none.

What lies there is kept and put back by whoever asked: the host, which alone runs in between, does not look there.
"""

SHARED: Final[Mapping[str, Function]] = {f.name: f for f in (INSIDE, COUNT, FLOATS, ROOM, NOTE, KNOWN)}


def place_of(pages: int, offset: int = 0) -> str:
    """Code for a place in the adapter's own pages: the last ones of memory, wherever that ends."""
    behind = f" i32.const {offset} i32.add" if offset else ""
    return f"memory.size i32.const {pages} i32.sub i32.const 16 i32.shl{behind}"


def grow(pages: int) -> Function:
    """``memory.grow`` for a guest that does not know of the adapter's own pages at memory's end.

    They move to the new end, with what is in them, the last bytes first; the guest finds zeros where they were.
    """
    return Function(
        "adapter.grow",
        (("more", "i32"),),
        ("i32",),
        f"""local.get more memory.grow local.tee before i32.const -1 i32.eq if i32.const -1 return end
            local.get more if
              local.get before i32.const 16 i32.shl local.set at
              i32.const {pages * PAGE // 8} local.set left
              loop
                local.get at i32.const 8 i32.sub local.tee at
                local.get more i32.const 16 i32.shl i32.add local.get at i64.load 0 i64.store 0
                local.get at i64.const 0 i64.store 0
                local.get left i32.const 1 i32.sub local.tee left br_if 0
              end
            end
            local.get before i32.const {pages} i32.sub""",
        (("before", "i32"), ("at", "i32"), ("left", "i32")),
    )
