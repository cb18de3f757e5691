"""A guest that loads models by name made one that carries them: for hosts that keep no models by name.

Each model becomes a data segment that lies in the module until it is asked for. ``load_by_name`` then grows the guest's
memory, puts the model there and hands it to ``load``. The memory in use before is not touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests.assemble import Function, sized, unsigned
from lading.variants.guests.editor import Editor
from lading.variants.guests.sections import CODE, DATA, DATA_COUNT, HEADER, Section, grown, place, section, split
from lading.wasm.cursor import Cursor
from lading.wasm.module import PAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Abi

ENCODING: Final = "tensorflowlite"

_LOAD: Final = "carried:load"
_PARAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "load_by_name": ("name", "length", "out"),
    "load_by_name_with_config": ("name", "length", "config", "config_length", "out"),
}
_BUILDER: Final = 16
"""Bytes before the model: the record that says where it is, and the padding that keeps the model aligned."""


def carry(module: bytes, models: Mapping[str, bytes], guest: Abi, *, target: str = "cpu") -> bytes:
    """Put models into a guest.

    Args:
        module: the guest.
        models: by the names that it may ask for; one model may have several names.
        guest: what the guest speaks.
        target: where it wants its models to run.

    Raises:
        NotAdaptable: its ``load_by_name`` is none that anybody knows, or it has no memory of its own.
        ModuleError: it is malformed.
    """
    editor = Editor(module)
    entries = [
        (at, entry.name)
        for at, entry in enumerate(editor.imports)
        if entry.module == guest.module and entry.name in _PARAMS and entry.kind == 0
    ]
    for at, name in entries:
        _check_type(editor, editor.imports[at].type_index, name)
    if not editor.module.memories:
        raise NotAdaptable("the guest has no memory to put a model into", remedy="build it as a WASI command")
    contents = list(dict.fromkeys(models.values()))
    first = _segments(module)
    editor.import_function(_LOAD, guest.module, "load", ("i32",) * 5, ("i32",))
    for at, name in entries:
        text = _body(models, contents, first, guest, target)
        params = tuple((p, "i32") for p in _PARAMS[name])
        key = f"carried:{name}"
        if not editor.has(key):
            editor.add(Function(key, params, ("i32",), text, (("base", "i32"),)))
        editor.redirect(at, key)
    return _with_segments(editor.finish(), contents)


def _check_type(editor: Editor, index: int, name: str) -> None:
    kind = editor.module.types[index]
    if kind is None or kind.params != ("i32",) * len(_PARAMS[name]) or kind.results != ("i32",):
        raise NotAdaptable(f"the guest imports {name} with another type than wasi-nn's", remedy="build it again")


def _body(models: Mapping[str, bytes], contents: list[bytes], first: int, guest: Abi, target: str) -> str:
    """Compare the name with each that is known; the one that fits is loaded. Where none does, it is not found."""
    arms = []
    for name, data in sorted(models.items()):
        spelled = name.encode()
        tests = [f"local.get length i32.const {len(spelled)} i32.ne br_if 0"]
        tests += [f"local.get name i32.load8_u {n} i32.const {byte} i32.ne br_if 0" for n, byte in enumerate(spelled)]
        pages = -(-(len(data) + _BUILDER) // PAGE_BYTES)
        given = (
            f"i32.const {pages} memory.grow local.tee base i32.const -1 i32.eq "
            f"if i32.const {_errno(guest, 'too_large')} return end "
            "local.get base i32.const 16 i32.shl local.set base "
            f"local.get base i32.const {_BUILDER} i32.add i32.const 0 i32.const {len(data)} "
            f"memory.init {first + contents.index(data)} "
            f"local.get base local.get base i32.const {_BUILDER} i32.add i32.store 0 "
            f"local.get base i32.const {len(data)} i32.store 4 "
            f"local.get base i32.const 1 i32.const {guest.encodings.numbers[ENCODING]} "
            f"i32.const {guest.targets.numbers.get(target, 0)} local.get out call {_LOAD} return"
        )
        arms.append(f"block {' '.join(tests)} {given} end")
    return f"{' '.join(arms)} i32.const {_errno(guest, 'not_found')}"


def _errno(guest: Abi, name: str) -> int:
    return guest.errno.get(name, guest.errno["invalid_argument"])


def _segments(module: bytes) -> int:
    found = next((s for s in split(module) if s.number == DATA), None)
    return Cursor(module, found.start, found.end).u32("the number of data segments") if found else 0


def _with_segments(module: bytes, contents: list[bytes]) -> bytes:
    """The module with passive data segments behind those that it has, counted before the code as they have to be."""
    sections = split(module)
    total = _segments(module) + len(contents)
    passive = [b"\1" + sized(data) for data in contents]
    out = [HEADER]
    sections = [s for s in sections if s.number != DATA_COUNT]
    if not any(s.number == DATA for s in sections):
        sections.insert(place(sections, DATA), Section(DATA, 0, 0))
    for found in sections:
        content = module[found.start : found.end]
        if found.number == CODE:
            out.append(section(DATA_COUNT, unsigned(total)))
        if found.number == DATA:
            content = grown(content or b"\0", passive)
        out.append(section(found.number, sized(found.name.encode()) + content if found.number == 0 else content))
    return b"".join(out)
