"""Keeping apart the models of a guest: which one a graph, and a context, belongs to.

Two tables in the adapter's own pages have a pair for each handle that was given out: the handle, and the number of the
model, counted from 1; 0 is a place that is free, or a model that nothing is known of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests.assemble import Function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Conversion, Known

PLACES: Final = 64
TABLE_BYTES: Final = 8 * PLACES

_EACH: Final = """local.get left i32.const 1 i32.sub local.tee left i32.const 0 i32.lt_s br_if 1
          local.get table local.get left i32.const 3 i32.shl i32.add local.set at"""

NOTE: Final = Function(
    "adapter.note",
    (("table", "i32"), ("handle", "i32"), ("model", "i32")),
    (),
    f"""local.get table local.get handle i32.const {PLACES - 1} i32.and i32.const 3 i32.shl i32.add local.set free
        i32.const {PLACES} local.set left
        block loop
          {_EACH}
          local.get at i32.load 4 i32.eqz if local.get at local.set free br 1 end
          local.get at i32.load 0 local.get handle i32.eq if
            local.get at local.get model i32.store 4 return
          end
          br 0
        end end
        local.get free local.get handle i32.store 0 local.get free local.get model i32.store 4""",
    (("left", "i32"), ("at", "i32"), ("free", "i32")),
)
"""Remember the model of a handle; when all places are taken, one is given up."""

KNOWN: Final = Function(
    "adapter.known",
    (("table", "i32"), ("handle", "i32")),
    ("i32",),
    f"""i32.const {PLACES} local.set left
        block loop
          {_EACH}
          local.get at i32.load 0 local.get handle i32.ne br_if 0
          local.get at i32.load 4 if local.get at i32.load 4 return end
          br 0
        end end
        i32.const 0""",
    (("left", "i32"), ("at", "i32")),
)
"""The model of a handle."""


def numbered(conversions: list[Conversion], known: Mapping[str, Known]) -> dict[str, int]:
    """The numbers of the models that conversions are for; empty when they are for all.

    Raises:
        NotAdaptable: two models cannot be told apart, or nothing is known of one.
    """
    wanted = list(dict.fromkeys(c.model for c in conversions if c.model))
    sizes: dict[int, str] = {}
    names: dict[str, str] = {}
    for model in wanted:
        if model not in known:
            raise NotAdaptable(f"nothing is known of the model {model}", remedy="say by what name or size it is loaded")
    for model, marks in known.items():
        if marks.size is not None and sizes.setdefault(marks.size, model) != model:
            raise NotAdaptable(
                f"{sizes[marks.size]} and {model} both have {marks.size} bytes: calls do not tell them apart",
                remedy="add metadata to one of them, so that it is longer",
            )
        for name in marks.names:
            if names.setdefault(name, model) != model:
                raise NotAdaptable(f"{names[name]} and {model} are both called {name}", remedy="rename one of them")
    return {model: number for number, model in enumerate(wanted, 1)}


def same_text(at: str, length: str, text: str) -> str:
    """Code for whether memory holds this very text; it looks there only if the length is right."""
    octets = text.encode()
    tests = "".join(
        f" local.get {at} i32.load8_u {i} i32.const {octet} i32.eq i32.and" for i, octet in enumerate(octets)
    )
    return f"""i32.const 0 local.set $same local.get {length} i32.const {len(octets)} i32.eq if
        i32.const 1 {tests} local.set $same
      end local.get $same"""
