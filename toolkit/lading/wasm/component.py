"""The outside of a component: the names of what it imports and exports.

What lies inside (modules, types, instances) is skipped section by section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.wasm import custom
from lading.wasm.cursor import Cursor, Malformed
from lading.wasm.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_NAMES: Final = 100_000
_MOST_SECTION: Final = 12
_CUSTOM, _IMPORT, _EXPORT = 0, 10, 11
_SORT_CORE: Final = 0x00


def read(data: bytes) -> Module:
    """The component's sections; imports and exports by name.

    Raises:
        ModuleError: a section is malformed.
    """
    module = Module(kind="component", size_bytes=len(data))
    c = Cursor(data, 8)
    while not c.done:
        start = c.at
        number = c.byte("a section")
        if number > _MOST_SECTION:
            raise Malformed(f"unknown section {number} of a component", start)
        body = c.part(c.u32("the size of a section"), "a section")
        if number == _CUSTOM:
            custom.read(body, module)
        elif number == _IMPORT:
            _each(body, module.component_imports, "imports", _description)
        elif number == _EXPORT:
            _each(body, module.component_exports, "exports", _exported)
    return module


def _each(c: Cursor, names: list[str], what: str, rest: Callable[[Cursor], None]) -> None:
    for _ in range(c.count(_MOST_NAMES, what)):
        start = c.at
        kind = c.byte("a name")
        if kind > 2:
            raise Malformed(f"a name of the unknown kind {kind}", start)
        names.append(c.name("a name"))
        if kind == 2:
            for _ in range(c.count(_MOST_NAMES, "options of a name")):
                c.byte("an option of a name")
                c.name("an option of a name")
        rest(c)
    if not c.done:
        raise Malformed(f"bytes are left over in the section of {what}", c.at)


def _description(c: Cursor) -> None:
    """What kind of thing an import is, and its type."""
    start = c.at
    kind = c.byte("the kind of an import")
    if kind == _SORT_CORE:
        c.byte("the kind of a core import")
        c.u32("a type")
    elif kind in {0x01, 0x04, 0x05}:
        c.u32("a type")
    elif kind == 0x02:
        if c.byte("the bound of a value"):
            c.s33("a type")
        else:
            c.u32("a value")
    elif kind == 0x03:
        if not c.byte("the bound of a type"):
            c.u32("a type")
    else:
        raise Malformed(f"an import of the unknown kind {kind}", start)


def _exported(c: Cursor) -> None:
    """What an export refers to, and the type that it may be given."""
    if c.byte("the kind of an export") == _SORT_CORE:
        c.byte("the kind of a core export")
    c.u32("the index of an export")
    if c.byte("the type of an export"):
        _description(c)
