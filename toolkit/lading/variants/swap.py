"""A guest that hands a model's own bytes to ``load``, and another model that takes their place.

The other model lies in pages at memory's end of which the guest does not know. ``load`` looks at what it is given:
bytes of the known length and sum stand for the other model, everything else passes as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests.assemble import Function, signed
from lading.variants.guests.editor import Editor
from lading.variants.guests.helpers import INSIDE, PAGE, grow, place_of
from lading.variants.guests.validate import validate
from lading.wasm.module import FuncType
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.variants.guests.abi import Abi
    from lading.variants.guests.editor import Place

MULTIPLIER: Final = 6364136223846793005
_MASK: Final = 2**64 - 1
_PIECE: Final = 1 << 20
_RECORDS: Final = 16
_MOST_PAGES: Final = 65536

_SUM: Final = Function(
    "swap.sum",
    (("at", "i32"), ("size", "i32")),
    ("i64",),
    f"""block loop
          local.get size i32.eqz br_if 1
          local.get sum i64.const {MULTIPLIER} i64.mul local.get at i32.load8_u 0 i64.extend_i32_u i64.add local.set sum
          local.get at i32.const 1 i32.add local.set at
          local.get size i32.const 1 i32.sub local.set size
          br 0
        end end
        local.get sum""",
    (("sum", "i64"),),
)


def swap(module: bytes, models: Sequence[tuple[bytes, bytes]], guest: Abi) -> bytes:
    """Let a guest load other models than those whose bytes it hands over.

    Args:
        module: the guest.
        models: what it hands over, and what is to be loaded for it.
        guest: what it speaks.

    Raises:
        NotAdaptable: it has no memory that could hold them.
        ModuleError: it is malformed.
    """
    editor = Editor(module)
    params = PARAMETERS[guest.layout]["load"]
    wanted = FuncType(("i32",) * len(params), ("i32",))
    entries = [
        at
        for at, entry in enumerate(editor.imports)
        if (entry.module, entry.name, entry.kind) == (guest.module, "load", 0)
        and editor.module.types[entry.type_index] == wanted
    ]
    _check_memory(editor)
    if not entries:
        raise NotAdaptable("the guest imports no load that could be given another model", remedy="load by name")
    places, end = [], _RECORDS
    for _, other in models:
        places.append(end)
        end += -(-len(other) // 16) * 16
    pages = -(-end // PAGE)
    memory = editor.module.memories[0]
    if (memory.maximum or memory.minimum) + pages > _MOST_PAGES:
        raise NotAdaptable(
            "the guest's memory leaves no room for another model", remedy="link it with a smaller memory"
        )
    for (_, other), at in zip(models, places, strict=True):
        editor.add_data(memory.minimum * PAGE + at, other)
    editor.add_pages(pages)
    helper = grow(pages)
    editor.import_function("swap.load", guest.module, "load", wanted.params, wanted.results)
    known = zip(models, places, strict=True)
    text = _body(guest, pages, [(original, len(other), at) for (original, other), at in known])
    hook = Function("swap.hook", tuple((p, "i32") for p in params), ("i32",), text, (("at", "i32"), ("size", "i32")))
    for function in (helper, INSIDE, _SUM, hook):
        editor.add(function)
    for at in entries:
        editor.redirect(at, hook.name)

    def size(place: Place) -> bytes:
        return place.data[place.start : place.end] + b"\x41" + signed(pages) + b"\x6b"

    editor.replaced[0x3F] = size
    editor.replaced[0x40] = lambda place: place.call(helper.name)
    out = editor.finish()
    validate(out, "the guest with another model")
    return out


def sum_of(data: bytes) -> int:
    """What tells a model's bytes from others of the same length: a polynomial in 64 bits, the first byte highest."""
    import numpy as np

    powers = np.ones(min(len(data), _PIECE) + 1, np.uint64)
    powers[1:] = MULTIPLIER
    powers = np.multiply.accumulate(powers)
    found = 0
    for start in range(0, len(data), _PIECE):
        piece = np.frombuffer(data, np.uint8, min(_PIECE, len(data) - start), start).astype(np.uint64)
        found = (found * int(powers[len(piece)]) + int((piece * powers[len(piece) - 1 :: -1]).sum())) & _MASK
    return found


def _check_memory(editor: Editor) -> None:
    module = editor.module
    own = len(module.memories) == 1 and not any(i.kind == "memory" for i in module.imports)
    if not own or module.memories[0].is64 or module.memories[0].shared or module.memories[0].page_bytes != PAGE:
        raise NotAdaptable(
            "the guest has no plain memory of its own that could hold another model",
            remedy="build it for wasm32-wasip1, without threads",
        )


def _body(guest: Abi, pages: int, models: Sequence[tuple[bytes, int, int]]) -> str:
    legacy = guest.layout != "witx"
    record, array = place_of(pages), place_of(pages, 8)
    given = "local.get builder-array" if legacy else f"{record} i32.const 1"
    rest = "local.get encoding local.get target local.get graph-out call swap.load"
    arms = []
    for original, size, at in models:
        arms.append(f"""local.get size i32.const {len(original)} i32.eq if
              local.get at local.get size call swap.sum i64.const {sum_of(original)} i64.sub i64.eqz if
                {record} {place_of(pages, at)} i32.store 0 {record} i32.const {size} i32.store 4
                {array} {record} i32.store 0 {array} i32.const 1 i32.store 4
                {array if legacy else given} {rest} return
              end
            end""")
    inside = f"""local.get builders i32.load 0 local.set at local.get builders i32.load 4 local.set size
        local.get at local.get size call adapter.inside if {" ".join(arms)} end"""
    if legacy:
        inside = inside.replace("local.get builders", "local.get builder-array i32.load 0")
        return f"""local.get builder-array i32.const 8 call adapter.inside if
            local.get builder-array i32.load 4 i32.const 1 i32.eq if
              local.get builder-array i32.load 0 i32.const 8 call adapter.inside if {inside} end
            end
          end
          local.get builder-array {rest}"""
    return f"""local.get builder-count i32.const 1 i32.eq if
        local.get builders i32.const 8 call adapter.inside if {inside} end
      end
      local.get builders local.get builder-count {rest}"""
