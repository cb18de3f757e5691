"""Newer encodings and instructions as older engines know them, where that changes nothing of what the guest does.

What compilers emit today and engines of some years ago refuse is mostly a matter of encoding (the table of a
``call_indirect`` in five bytes) or of small instructions that older ones can do together. Whatever is more than that
(vectors, threads, several results) is refused with the flag that keeps a compiler from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.check.loading import EVERYWHERE, FLAGS, IMPLIED
from lading.errors import NotAdaptable
from lading.variants.guests import lowered
from lading.variants.guests.adapt import Change
from lading.variants.guests.assemble import sized, unsigned
from lading.variants.guests.editor import Editor
from lading.variants.guests.sections import CUSTOM, DATA, DATA_COUNT, HEADER, Section, custom, section, split
from lading.variants.guests.validate import validate
from lading.wasm.code import constant_expression
from lading.wasm.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from lading.variants.guests.editor import Place
    from lading.wasm.module import Module

_NUMERIC: Final = frozenset((0x7C, 0x7D, 0x7E, 0x7F))

_COMPILERS: Final[Mapping[str, str]] = {
    "sign-extension": "sign-ext",
    "saturating-float-to-int": "nontrapping-fptoint",
    "bulk-memory": "bulk-memory",
    "reference-types": "reference-types",
    "call-indirect-overlong": "call-indirect-overlong",
}
"""What compilers call the features in their own section."""


@dataclass(frozen=True)
class Lowered:
    """A guest that an older engine loads."""

    module: bytes
    changes: tuple[Change, ...]
    """Empty: nothing was to be done, and the module is as it was."""


def lower(module: bytes, features: Mapping[str, bool] | Collection[str]) -> Lowered:
    """Do without the features that an engine does not take.

    Args:
        module: a core module.
        features: what a firmware profile says about its engine (``wasm.features``; what it does not mention is taken
            where every engine takes it), or all that may be used.

    Raises:
        NotAdaptable: it uses a feature that cannot be done without; names it, the place and the compiler's flag.
        ModuleError: it is malformed.
    """
    editor, engine = Editor(module), _Engine(features)
    lacking = [name for name in editor.module.features if not engine.takes(name)]
    wanted = [name for name in lacking if name in _WAYS]
    hopeless = next((name for name in lacking if name not in _WAYS and engine.refuses(name)), None)
    if hopeless is not None:
        raise _refusal(editor.module, hopeless)
    if not wanted:
        return Lowered(module, ())
    validate(module, "the guest")
    counts = {name: editor.module.features[name].count for name in wanted}
    for name in wanted:
        _WAYS[name](editor)
    out = editor.finish()
    if "bulk-memory" in wanted:
        out = _plain_data(out)
    out = _told(out, {_COMPILERS[name] for name in wanted})
    after = Editor(out).module
    left = next((name for name in wanted if name in after.features), None)
    if left is not None:
        raise _refusal(after, left)
    validate(out, "the guest with older instructions")
    changes = [Change(name, f"done without, in {_places(counts[name])}") for name in wanted]
    changes += [Change(name, "left out: it speaks of places that have moved") for name in editor.dropped]
    return Lowered(out, tuple(changes))


def _places(count: int) -> str:
    return f"{count} places" if count != 1 else "1 place"


class _Engine:
    """What an engine takes."""

    def __init__(self, features: Mapping[str, bool] | Collection[str]) -> None:
        self._told = features if isinstance(features, Mapping) else None
        self._all = frozenset(features)

    def takes(self, name: str) -> bool:
        """Whether it is known to take a feature."""
        if self._told is None:
            return name in self._all
        return self._told.get(name, name in EVERYWHERE) and not self.refuses(name)

    def refuses(self, name: str) -> bool:
        """Whether it is known not to, by itself or because it lacks what the feature rests on."""
        if self._told is None:
            return name not in self._all
        if name in self._told:
            return not self._told[name]
        return any(name in rest and not self._told.get(base, True) for base, rest in IMPLIED.items())


def _refusal(module: Module, name: str) -> NotAdaptable:
    use, flag = module.features[name], FLAGS.get(name)
    return NotAdaptable(
        f"the guest uses {name} ({use.where}, at byte {use.offset:#x}), and nothing older does the same",
        remedy=f"build the guest without it ({flag})" if flag else "build the guest without it",
        details={"feature": name, "offset": use.offset},
    )


def _tables(editor: Editor) -> None:
    """The first table by one byte, and ``select`` without the type of numbers."""

    def call_indirect(place: Place) -> bytes | None:
        c = place.operands()
        kind, table = c.u32("a type"), c.u32("a table")
        return None if table else bytes([place.code]) + unsigned(kind) + b"\0"

    def select(place: Place) -> bytes | None:
        types = place.data[place.start + 1 : place.end]
        return b"\x1b" if len(types) == 2 and types[0] == 1 and types[1] in _NUMERIC else None

    editor.replaced[0x11] = call_indirect
    editor.replaced[0x1C] = select


def _sign_extension(editor: Editor) -> None:
    """Shifted up and down again."""
    for code, text in lowered.EXTENSIONS.items():
        editor.replaced[code] = lambda _place, text=text: text  # type: ignore[misc]


def _misc(editor: Editor, wanted: Mapping[int, str]) -> None:
    """Instructions with the prefix 0xfc become calls of functions that do the same."""
    before, used = editor.replaced.get(0xFC), editor.operators(0xFC)
    wanted = {number: name for number, name in wanted.items() if number in used}

    def replace(place: Place) -> bytes | None:
        name = wanted.get(place.operands().u32("an instruction"))
        if name is None:
            return before(place) if before is not None else None
        return place.call(name)

    for name in wanted.values():
        for one in (lowered.FUNCTIONS[name], *lowered.called(name)):
            if not editor.has(one.name):
                editor.add(one)
    editor.replaced[0xFC] = replace


def _saturating(editor: Editor) -> None:
    _misc(editor, lowered.TRUNCATIONS)


def _bulk(editor: Editor) -> None:
    if any(memory.is64 for memory in editor.module.memories):
        raise _refusal(editor.module, "bulk-memory")
    _misc(editor, lowered.BULK)


_WAYS: Final[Mapping[str, Callable[[Editor], None]]] = {
    "call-indirect-overlong": _tables,
    "reference-types": _tables,
    "sign-extension": _sign_extension,
    "saturating-float-to-int": _saturating,
    "bulk-memory": _bulk,
}
"""How each feature is done without, as far as it can be."""


def _plain_data(module: bytes) -> bytes:
    """Data segments in their first form, and no count of them before the code."""
    editor = Editor(module)
    out = [HEADER]
    for found in editor.sections:
        content = module[found.start : found.end]
        if found.number == DATA_COUNT:
            continue
        if found.number == DATA:
            content = _segments(editor, found)
        out.append(custom(found.name, content) if found.number == CUSTOM else section(found.number, content))
    return b"".join(out)


def _segments(editor: Editor, found: Section) -> bytes:
    c = Cursor(editor.data, found.start, found.end)
    out = bytearray(unsigned(c.u32("the number of data segments")))
    while not c.done:
        flags = c.u32("flags")
        names_first = flags == 2 and editor.data[c.at] == 0
        if names_first:
            c.skip(1, "a memory")
        start = c.at
        if flags == 2 and not names_first:
            c.u32("a memory")
        if flags != 1:
            constant_expression(c, editor.module)
        c.skip(c.u32("a size"), "a data segment")
        out += unsigned(0 if names_first else flags) + editor.data[start : c.at]
    return bytes(out)


def _told(module: bytes, gone: set[str]) -> bytes:
    """What the compiler says of the features in use, without those that are gone."""
    editor = Editor(module)
    kept = [f for f in editor.module.target_features if f.prefix != "+" or f.name not in gone]
    if len(kept) == len(editor.module.target_features):
        return module
    content = unsigned(len(kept)) + b"".join(f.prefix.encode() + sized(f.name.encode()) for f in kept)
    out = [HEADER]
    for found in split(module):
        if found.number != CUSTOM:
            out.append(section(found.number, module[found.start : found.end]))
        else:
            old = module[found.start : found.end]
            out.append(custom(found.name, content if found.name == "target_features" else old))
    return b"".join(out)
