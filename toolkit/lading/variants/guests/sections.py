"""A core module taken apart into sections, and put together again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.variants.guests.assemble import sized, unsigned
from lading.wasm.cursor import Cursor
from lading.wasm.types import global_type, memory_type, table_type

if TYPE_CHECKING:
    from lading.wasm.module import Module

CUSTOM, TYPE, IMPORT, FUNCTION, TABLE, MEMORY, GLOBAL, EXPORT, START, ELEMENT, CODE, DATA, DATA_COUNT, TAG = range(14)

HEADER: Final = b"\0asm\1\0\0\0"
_ORDER: Final = (TYPE, IMPORT, FUNCTION, TABLE, MEMORY, TAG, GLOBAL, EXPORT, START, ELEMENT, DATA_COUNT, CODE, DATA)


@dataclass(frozen=True)
class Section:
    """One section: its bytes lie from ``start`` to ``end``; those of a custom one begin behind its name."""

    number: int
    start: int
    end: int
    name: str = ""


def split(data: bytes) -> list[Section]:
    """The sections of a module that has been read before (and so is well formed)."""
    c, found = Cursor(data, 8), []
    while not c.done:
        number = c.byte("a section")
        body = c.part(c.u32("the size of a section"), "a section")
        name = body.name("the name of a custom section") if number == CUSTOM else ""
        found.append(Section(number, body.at, body.end, name))
    return found


def section(number: int, content: bytes) -> bytes:
    """A section in binary form."""
    return bytes([number]) + sized(content)


def custom(name: str, content: bytes) -> bytes:
    """A custom section in binary form."""
    return section(CUSTOM, sized(name.encode()) + content)


def place(sections: list[Section], number: int) -> int:
    """Where among the sections one of that number goes: behind all that come before it in the format's order."""
    before = set(_ORDER[: _ORDER.index(number)])
    return max((at + 1 for at, found in enumerate(sections) if found.number in before), default=0)


@dataclass(frozen=True)
class ImportEntry:
    """An import as it lies in the file."""

    module: str
    name: str
    kind: int
    raw: bytes
    type_index: int = -1
    """Of a function."""


def imports(data: bytes, found: Section, module: Module) -> list[ImportEntry]:
    """The entries of the import section."""
    c = Cursor(data, found.start, found.end)
    entries = []
    for _ in range(c.u32("the number of imports")):
        start = c.at
        module_name, name, kind = c.name("a module"), c.name("a name"), c.byte("a kind")
        type_index = -1
        if kind == 0:
            type_index = c.u32("a type")
        elif kind == 1:
            table_type(c, module)
        elif kind == 2:
            memory_type(c, module)
        elif kind == 3:
            global_type(c, module)
        else:
            c.skip(1, "a tag")
            c.u32("a type")
        entries.append(ImportEntry(module_name, name, kind, data[start : c.at], type_index))
    return entries


def grown(content: bytes, entries: list[bytes]) -> bytes:
    """A section's bytes with more entries at its end."""
    c = Cursor(content)
    count = c.u32("the number of entries")
    return unsigned(count + len(entries)) + content[c.at :] + b"".join(entries)
