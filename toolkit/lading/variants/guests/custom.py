"""Custom sections after functions have moved: names are kept right, what cannot be is dropped and said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import ModuleError
from lading.variants.guests.assemble import sized, unsigned
from lading.wasm.cursor import Cursor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_FUNCTIONS, _LOCALS, _LABELS = 1, 2, 3
_MOST: Final = 1_000_000

_WRONG: Final = ("sourceMappingURL", "external_debug_info", "linking", "core", "corestack")
_WRONG_BEGINNINGS: Final = (".debug_", "reloc.", "metadata.code.", "reloc..")
"""They speak of places in the code, or of functions by their index."""


def goes_wrong(name: str) -> bool:
    """Whether a custom section says something that is not true once functions have moved."""
    return name in _WRONG or name.startswith(_WRONG_BEGINNINGS)


def names(content: bytes, move: Callable[[int], int], added: Mapping[int, str]) -> bytes | None:
    """The ``name`` section for moved functions.

    Args:
        content: the section as it was.
        move: gives a function's new index.
        added: names of further functions, by their index.

    Returns:
        The new section; None when the old one is malformed, which engines do not mind.
    """
    try:
        return _names(Cursor(content), move, added)
    except ModuleError:
        return None


def _names(c: Cursor, move: Callable[[int], int], added: Mapping[int, str]) -> bytes:
    parts: list[tuple[int, bytes]] = []
    for_functions = dict[int, bytes]()
    while not c.done:
        kind = c.byte("a part of the names")
        part = c.part(c.u32("the size of names"), "names")
        if kind == _FUNCTIONS:
            for_functions.update(_each(part, move, named=True))
        elif kind in {_LOCALS, _LABELS}:
            parts.append((kind, _map(_each(part, move, named=False))))
        else:
            parts.append((kind, part.take(part.end - part.at, "names")))
    for_functions.update({index: sized(name.encode()) for index, name in added.items()})
    parts.append((_FUNCTIONS, _map(for_functions)))
    return b"".join(bytes([kind]) + sized(content) for kind, content in sorted(parts, key=lambda p: p[0]))


def _each(c: Cursor, move: Callable[[int], int], *, named: bool) -> dict[int, bytes]:
    found = {}
    for _ in range(c.count(_MOST, "names")):
        index = move(c.u32("a function"))
        start = c.at
        if named:
            c.skip(c.u32("the length of a name"), "a name")
        else:
            for _ in range(c.count(_MOST, "names")):
                c.u32("a place")
                c.skip(c.u32("the length of a name"), "a name")
        found[index] = c.data[start : c.at]
    return found


def _map(entries: Mapping[int, bytes]) -> bytes:
    return unsigned(len(entries)) + b"".join(unsigned(index) + entries[index] for index in sorted(entries))
