"""Reading modules. The file is hostile: every number is checked before it counts for anything."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import ModuleError
from lading.wasm import component, custom
from lading.wasm.code import constant_expression, function_body
from lading.wasm.cursor import Cursor, Malformed
from lading.wasm.module import Export, FuncType, Import, Kind, Module
from lading.wasm.types import global_type, memory_type, reference_type, table_type, type_group

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES: Final = 64 * 1024 * 1024
"""Longer files are not read; guests for boards are a thousand times smaller."""

# What engines allow at most.
_MOST_ITEMS: Final = 1_000_000
_MOST_SEGMENTS: Final = 100_000
_MOST_ELEMENTS: Final = 10_000_000
_MOST_MEMORIES: Final = 100
_MOST_CODE: Final = 7_654_321

_MAGIC: Final = b"\0asm"
_CORE, _COMPONENT = b"\1\0\0\0", b"\r\0\1\0"
_KINDS: Final[tuple[Kind, ...]] = ("func", "table", "memory", "global", "tag")
_CUSTOM, _CODE = 0, 10
_SECTIONS: Final = {
    1: "type", 2: "import", 3: "function", 4: "table", 5: "memory", 6: "global", 7: "export", 8: "start",
    9: "element", 10: "code", 11: "data", 12: "data count", 13: "tag",
}  # fmt: skip
_ORDER: Final = (1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11)
_OTHER_FORMATS: Final = (
    (b"\x7fELF", "a native program"),
    (b"!<arch>", "a library of objects"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\0aot", "WAMR's ahead-of-time code, which only the WAMR that it was made for reads"),
    (b"(module", "WebAssembly text: assemble it first (wat2wasm)"),
    (b"(component", "WebAssembly text: assemble it first"),
    (b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)


def read_module(source: bytes | Path) -> Module:
    """Read a module, or the outside of a component, from its bytes or its file.

    All code is decoded, so that the features in use are known; types of operands are not checked, as an engine would.

    Raises:
        ModuleError: not a module, or one that is malformed; says what is wrong at which byte.
    """
    if isinstance(source, Path):
        data, label = _load(source), f"{source}: "
    else:
        data, label = source, ""
    try:
        return _read(data)
    except ModuleError as error:
        raise ModuleError(label + error.message, remedy=error.remedy, details=error.details) from error


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModuleError(
            f"{path}: cannot be read: {error.strerror or error}", remedy="check the path and its permissions"
        ) from error


def _read(data: bytes) -> Module:
    if len(data) > MOST_BYTES:
        raise ModuleError(f"the module is longer than {MOST_BYTES} bytes", remedy="is it the right file?")
    if data[:4] != _MAGIC:
        looks = next((f"; it looks like {what}" for magic, what in _OTHER_FORMATS if data.startswith(magic)), "")
        raise ModuleError(
            f"not a WebAssembly module: it does not begin with '\\0asm'{looks}"
            if data
            else "not a WebAssembly module: the file is empty",
            remedy="give a .wasm file that a compiler made for WASI",
            details={"offset": 0},
        )
    if data[4:8] == _COMPONENT:
        return component.read(data)
    if data[4:8] != _CORE:
        if len(data) < 8:
            raise Malformed("the version is cut off", 4)
        raise Malformed(f"the version {data[4:8].hex(' ')} is neither that of a core module nor of a component", 4)
    module = Module(kind="core", size_bytes=len(data))
    _Reader(data, module).read()
    return module


class _Reader:
    """Goes through the sections of one core module."""

    def __init__(self, data: bytes, module: Module) -> None:
        self.c = Cursor(data, 8)
        self.m = module
        self.imported_functions = 0
        self.bodies = 0
        self.data_count: int | None = None

    def read(self) -> None:
        """Every section, then what they say about each other."""
        last = -1
        while not self.c.done:
            start = self.c.at
            number = self.c.byte("a section")
            what = f"the {_SECTIONS[number]} section" if number in _SECTIONS else "a section"
            body = self.c.part(self.c.u32(f"the size of {what}"), what)
            if number == _CUSTOM:
                custom.read(body, self.m)
                continue
            if number not in _SECTIONS:
                raise Malformed(f"unknown section {number}", start)
            place = _ORDER.index(number)
            if place <= last:
                raise Malformed(f"{what} is there twice or comes too late", start)
            last = place
            self._section(number, body)
            if not body.done:
                raise Malformed(f"{body.end - body.at} bytes are left over in {what}", body.at)
        self._check_counts()

    def _section(self, number: int, body: Cursor) -> None:
        readers: dict[int, Callable[[Cursor], None]] = {
            1: self._types,
            2: self._imports,
            3: self._functions,
            4: self._tables,
            5: self._memories,
            6: self._globals,
            7: self._exports,
            8: self._start,
            9: self._elements,
            10: self._code,
            11: self._data,
            12: self._data_count,
            13: self._tags,
        }
        readers[number](body)

    def _check_counts(self) -> None:
        own = len(self.m.functions) - self.imported_functions
        if own != self.bodies:
            raise Malformed(f"{own} functions are declared, {self.bodies} have code", self.c.end)
        if self.data_count is not None and self.data_count != self.m.data_segments:
            raise Malformed(
                f"{self.data_count} data segments are announced, {self.m.data_segments} are there", self.c.end
            )

    def _types(self, c: Cursor) -> None:
        seen: dict[FuncType, FuncType] = {}
        for _ in range(c.count(_MOST_ITEMS, "types")):
            type_group(c, self.m, seen)

    def _imports(self, c: Cursor) -> None:
        m = self.m
        for _ in range(c.count(_MOST_ITEMS, "imports")):
            module, name = c.name("the module of an import"), c.name("the name of an import")
            start = c.at
            kind = self._kind(c, "an import")
            found: Import
            if kind == "func":
                index = self._type_index(c)
                m.functions.append(index)
                found = Import(module, name, kind, m.types[index])
            elif kind == "table":
                m.tables.append(table_type(c, m))
                found = Import(module, name, kind, m.tables[-1])
            elif kind == "memory":
                m.memories.append(memory_type(c, m))
                found = Import(module, name, kind, m.memories[-1])
            elif kind == "global":
                m.globals.append(global_type(c, m))
                found = Import(module, name, kind, m.globals[-1])
                if m.globals[-1].mutable:
                    m.use("mutable-globals", f"the imported global {name}", start)
            else:
                m.tags.append(self._tag(c))
                found = Import(module, name, kind, m.types[m.tags[-1]])
            m.imports.append(found)
        self.imported_functions = len(m.functions)
        self._count_spaces(c.at)

    def _kind(self, c: Cursor, what: str) -> Kind:
        start = c.at
        number = c.byte(f"the kind of {what}")
        if number >= len(_KINDS):
            raise Malformed(f"{what} is of the unknown kind {number}", start)
        return _KINDS[number]

    def _type_index(self, c: Cursor) -> int:
        start = c.at
        index = c.u32("the type of a function")
        if index >= len(self.m.types) or self.m.types[index] is None:
            raise Malformed(f"a function has type {index}, which is none of a function", start)
        return index

    def _tag(self, c: Cursor) -> int:
        start = c.at
        if c.byte("a tag"):
            raise Malformed("a tag of an unknown kind", start)
        self.m.use("exceptions", "an exception tag", start)
        return self._type_index(c)

    def _count_spaces(self, at: int) -> None:
        m = self.m
        if len(m.memories) > 1:
            m.use("multi-memory", "a second memory", at)
        if len(m.tables) > 1:
            m.use("reference-types", "a second table", at)
        for what, count, most in (
            ("functions", len(m.functions), _MOST_ITEMS),
            ("globals", len(m.globals), _MOST_ITEMS),
            ("tables", len(m.tables), _MOST_MEMORIES),
            ("memories", len(m.memories), _MOST_MEMORIES),
            ("tags", len(m.tags), _MOST_ITEMS),
        ):
            if count > most:
                raise Malformed(f"{count} {what} are more than the {most} that are allowed", at)

    def _functions(self, c: Cursor) -> None:
        for _ in range(c.count(_MOST_ITEMS, "functions")):
            self.m.functions.append(self._type_index(c))
        self._count_spaces(c.at)

    def _tables(self, c: Cursor) -> None:
        for _ in range(c.count(_MOST_MEMORIES, "tables")):
            initial = c.data[c.at : c.at + 2] == b"\x40\0" and c.at + 1 < c.end
            if initial:
                self.m.use("function-references", "a table with an initial value", c.at)
                c.skip(2, "a table")
            self.m.tables.append(table_type(c, self.m))
            if initial:
                constant_expression(c, self.m)
        self._count_spaces(c.at)

    def _memories(self, c: Cursor) -> None:
        for _ in range(c.count(_MOST_MEMORIES, "memories")):
            self.m.memories.append(memory_type(c, self.m))
        self._count_spaces(c.at)

    def _globals(self, c: Cursor) -> None:
        for _ in range(c.count(_MOST_ITEMS, "globals")):
            kind = global_type(c, self.m)
            constant_expression(c, self.m)
            self.m.globals.append(kind)
        self._count_spaces(c.at)

    def _tags(self, c: Cursor) -> None:
        for _ in range(c.count(_MOST_ITEMS, "tags")):
            self.m.tags.append(self._tag(c))
        self._count_spaces(c.at)

    def _exports(self, c: Cursor) -> None:
        m = self.m
        spaces: dict[Kind, int] = {
            "func": len(m.functions),
            "table": len(m.tables),
            "memory": len(m.memories),
            "global": len(m.globals),
            "tag": len(m.tags),
        }
        names: set[str] = set()
        for _ in range(c.count(_MOST_ITEMS, "exports")):
            start = c.at
            name = c.name("the name of an export")
            kind = self._kind(c, "an export")
            index = c.u32("the index of an export")
            if name in names:
                raise Malformed(f"'{name}' is exported twice", start)
            if index >= spaces[kind]:
                raise Malformed(f"the export '{name}' is {kind} {index} of {spaces[kind]}", start)
            names.add(name)
            if kind == "global" and m.globals[index].mutable:
                m.use("mutable-globals", f"the exported global {name}", start)
            m.exports.append(Export(name, kind, index))

    def _start(self, c: Cursor) -> None:
        start = c.at
        self.m.start = c.u32("the start function")
        if self.m.start >= len(self.m.functions):
            raise Malformed(f"the start function is {self.m.start} of {len(self.m.functions)}", start)

    def _elements(self, c: Cursor) -> None:
        m = self.m
        for _ in range(c.count(_MOST_SEGMENTS, "element segments")):
            start = c.at
            flags = c.u32("the flags of an element segment")
            if flags > 7:
                raise Malformed(f"an element segment has the unknown flags {flags}", start)
            if flags & 1:
                m.use("bulk-memory", "a passive or declared element segment", start)
            active, explicit, expressions = not flags & 1, bool(flags & 2), bool(flags & 4)
            if active:
                if explicit and c.u32("the table of an element segment"):
                    m.use("reference-types", "an element segment for another table than the first", start)
                constant_expression(c, m)
            if flags & 3:
                if expressions:
                    if c.done or c.data[c.at] != 0x70:
                        reference_type(c, m, "an element segment")
                    else:
                        c.skip(1, "an element segment")
                elif c.byte("the kind of an element segment"):
                    raise Malformed("an element segment of an unknown kind", c.at - 1)
            for _ in range(c.count(_MOST_ELEMENTS, "elements")):
                if expressions:
                    constant_expression(c, m)
                else:
                    c.u32("an element")
            m.elements += 1

    def _code(self, c: Cursor) -> None:
        self.m.code_bytes = c.end - c.at
        own = len(self.m.functions) - self.imported_functions
        count = c.count(_MOST_ITEMS, "functions with code")
        if count != own:
            raise Malformed(f"{own} functions are declared, {count} have code", c.at)
        for _ in range(count):
            start = c.at
            size = c.u32("the size of a function")
            if size > _MOST_CODE:
                raise Malformed(f"a function of {size} bytes is longer than the {_MOST_CODE} that are allowed", start)
            function_body(c.part(size, "a function"), self.m)
        self.bodies = count

    def _data(self, c: Cursor) -> None:
        m = self.m
        for _ in range(c.count(_MOST_SEGMENTS, "data segments")):
            start = c.at
            flags = c.u32("the flags of a data segment")
            if flags > 2:
                raise Malformed(f"a data segment has the unknown flags {flags}", start)
            if flags == 1:
                m.use("bulk-memory", "a passive data segment", start)
            if flags == 2:
                m.use("bulk-memory", "a data segment that names its memory", start)
                if c.u32("the memory of a data segment"):
                    m.use("multi-memory", "a data segment for another memory than the first", start)
            if flags != 1:
                constant_expression(c, m)
            size = c.u32("the size of a data segment")
            c.skip(size, "a data segment")
            m.data_segments += 1
            m.data_bytes += size

    def _data_count(self, c: Cursor) -> None:
        self.m.use("bulk-memory", "a data count section", c.at)
        self.data_count = c.u32("the number of data segments")
