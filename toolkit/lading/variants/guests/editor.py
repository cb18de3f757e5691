"""Editing a core module: functions are imported and added, calls go elsewhere, single instructions are replaced.

Imported functions come first in a module's numbering, so that almost every edit moves all functions. The editor walks
through everything that names a function by its index (code, exports, the start function, elements, initial values,
names) and writes it anew; all else is copied byte by byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import ModuleError, NotAdaptable
from lading.variants.guests import custom
from lading.variants.guests.assemble import Function, assemble, signed, sized, type_entry, unsigned, vector
from lading.variants.guests.sections import (
    CODE,
    CUSTOM,
    DATA,
    DATA_COUNT,
    ELEMENT,
    EXPORT,
    FUNCTION,
    GLOBAL,
    HEADER,
    IMPORT,
    MEMORY,
    START,
    TABLE,
    TYPE,
    Section,
    grown,
    imports,
    place,
    section,
    split,
)
from lading.variants.guests.sections import custom as custom_section
from lading.wasm import read_module
from lading.wasm.code import constant_expression, function_body
from lading.wasm.cursor import Cursor
from lading.wasm.types import MOST_PAGES_32, global_type, memory_type, reference_type, table_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.wasm.module import Module

    Replace = Callable[["Place"], bytes | None]

_CALLS: Final = {0x10: b"\x10", 0x12: b"\x12", 0xD2: b"\xd2"}
"""Instructions whose one operand is a function: call, return_call, ref.func."""


class Place:
    """An instruction in a function's code that may be replaced."""

    __slots__ = ("_editor", "code", "data", "end", "start")

    def __init__(self, editor: Editor, data: bytes, code: int, start: int, end: int) -> None:
        self._editor = editor
        self.data = data
        self.code = code
        self.start = start
        self.end = end

    def operands(self) -> Cursor:
        """What follows the instruction's first byte."""
        return Cursor(self.data, self.start + 1, self.end)

    def call(self, name: str) -> bytes:
        """A call of an added or imported function."""
        return b"\x10" + unsigned(self._editor.index(name))


class Editor:
    """One module under edit. Say what is to change, then take :meth:`finish`."""

    def __init__(self, data: bytes) -> None:
        """Read the module.

        Raises:
            NotAdaptable: it is a component.
            ModuleError: it is malformed.
        """
        self.data = data
        self.module: Module = read_module(data)
        if self.module.kind != "core":
            raise NotAdaptable(
                "the module is a WebAssembly component", remedy="build the guest as a core module (wasm32-wasip1)"
            )
        self.sections = split(data)
        found = self._section(IMPORT)
        self.imports = imports(data, found, self.module) if found else []
        self._old_imports = self._function_of(len(self.imports))
        self.replaced = dict[int, "Replace"]()
        """What replaces instructions, by their first byte; None from it leaves one as it is."""
        self.dropped: list[str] = []
        """Custom sections that would have said what is no longer true."""
        self._types: list[bytes] = []
        self._imported: list[tuple[str, bytes]] = []
        self._removed = set[int]()
        self._added: list[tuple[Function, int]] = []
        self._names = dict[str, tuple[bool, int]]()
        self._redirected = dict[int, str]()
        self._pages = 0
        self._data: list[tuple[int, bytes]] = []

    # What changes.

    def import_function(
        self, key: str, module: str, name: str, params: tuple[str, ...], results: tuple[str, ...]
    ) -> None:
        """Import a function; added code calls it by ``key``."""
        type_index = self._new_type(params, results)
        entry = sized(module.encode()) + sized(name.encode()) + b"\0" + unsigned(type_index)
        self._names[key] = (True, len(self._imported))
        self._imported.append((key, entry))

    def add(self, function: Function, type_index: int | None = None) -> None:
        """Add a function; code calls it by its name. ``type_index``: it has that type of the module's."""
        if type_index is None:
            type_index = self._new_type(tuple(kind for _, kind in function.params), function.results)
        self._names[function.name] = (False, len(self._added))
        self._added.append((function, type_index))

    def redirect(self, entry: int, name: str) -> None:
        """Take the import at that position away; everything that was the imported function is another one now."""
        self._removed.add(entry)
        self._redirected[self._function_of(entry)] = name

    def add_pages(self, pages: int) -> None:
        """Make the module's own first memory larger, and its largest size as well."""
        self._pages += pages

    def add_data(self, at: int, content: bytes) -> None:
        """Let the first memory begin with these bytes at a place."""
        self._data.append((at, content))

    def operators(self, prefix: int) -> set[int]:
        """The numbers behind a prefix that the module's code has."""
        found, seen = self._section(CODE), set[int]()
        if found is None:
            return seen

        def visit(code: int, start: int, end: int) -> None:
            if code == prefix:
                seen.add(Cursor(self.data, start + 1, end).u32("an instruction"))

        c = Cursor(self.data, found.start, found.end)
        for _ in range(c.u32("the number of functions")):
            function_body(c.part(c.u32("a size"), "a function"), self.module, visit)
        return seen

    def has(self, name: str) -> bool:
        """Whether a function of that name was added or imported."""
        return name in self._names

    # Where functions are.

    def _function_of(self, entry: int) -> int:
        return sum(e.kind == 0 for e in self.imports[:entry])

    @property
    def _new_imports(self) -> int:
        return self._old_imports - len(self._removed) + len(self._imported)

    def index(self, name: str) -> int:
        """The index of an added or imported function, in the finished module."""
        imported, at = self._names[name]
        if imported:
            return self._old_imports - len(self._removed) + at
        return self._new_imports + len(self.module.functions) - self._old_imports + at

    def _moves(self) -> list[int]:
        moves, kept = [], 0
        for old in range(len(self.module.functions)):
            if old in self._redirected:
                moves.append(self.index(self._redirected[old]))
            elif old < self._old_imports:
                moves.append(kept)
                kept += 1
            else:
                moves.append(old - self._old_imports + self._new_imports)
        return moves

    def _new_type(self, params: tuple[str, ...], results: tuple[str, ...]) -> int:
        entry = type_entry(params, results)
        if entry not in self._types:
            self._types.append(entry)
        return len(self.module.types) + self._types.index(entry)

    # The finished module.

    def finish(self) -> bytes:
        """The edited module."""
        moves = self._moves()
        work = _Rewriter(self, moves)
        rewritten = {
            TYPE: self._grown(TYPE, self._types),
            IMPORT: self._import_section(),
            FUNCTION: self._grown(FUNCTION, [unsigned(index) for _, index in self._added]),
            MEMORY: self._memory_section() if self._pages else None,
            TABLE: work.tables(self._section(TABLE)),
            GLOBAL: work.globals(self._section(GLOBAL)),
            EXPORT: work.exports(self._section(EXPORT)),
            START: work.start(self._section(START)),
            ELEMENT: work.elements(self._section(ELEMENT)),
            CODE: self._code_section(work),
            DATA_COUNT: self._data_count(),
            DATA: self._grown(DATA, [_segment(at, content) for at, content in self._data]),
        }
        out = [HEADER]
        sections = list(self.sections)
        for number in (TYPE, IMPORT, FUNCTION, CODE, DATA):
            if rewritten[number] is not None and self._section(number) is None:
                sections.insert(place(sections, number), Section(number, 0, 0))
        for found in sections:
            if found.number == CUSTOM:
                out.append(self._custom(found, moves))
            else:
                content = rewritten.get(found.number)
                if content is None:
                    content = self.data[found.start : found.end]
                if not (found.number == IMPORT and content == b"\0"):
                    out.append(section(found.number, content))
        return b"".join(out)

    def _section(self, number: int) -> Section | None:
        return next((s for s in self.sections if s.number == number), None)

    def _content(self, number: int) -> bytes:
        found = self._section(number)
        return self.data[found.start : found.end] if found else b"\0"

    def _grown(self, number: int, entries: list[bytes]) -> bytes | None:
        return grown(self._content(number), entries) if entries else None

    def _import_section(self) -> bytes | None:
        if not self._removed and not self._imported:
            return None
        kept = [entry.raw for at, entry in enumerate(self.imports) if at not in self._removed]
        return vector(kept + [entry for _, entry in self._imported])

    def _memory_section(self) -> bytes:
        found = self._section(MEMORY)
        assert found is not None
        c = Cursor(self.data, found.start, found.end)
        count = c.u32("the number of memories")
        flags = self.data[c.at]
        limits = memory_type(c, self.module)
        out = unsigned(count) + bytes([flags]) + unsigned(limits.minimum + self._pages)
        if limits.maximum is not None:
            out += unsigned(min(limits.maximum + self._pages, MOST_PAGES_32))
        return out + self.data[c.at : c.end]

    def _data_count(self) -> bytes | None:
        found = self._section(DATA_COUNT)
        if found is None or not self._data:
            return None
        return unsigned(Cursor(self.data, found.start, found.end).u32("a number") + len(self._data))

    def _code_section(self, work: _Rewriter) -> bytes | None:
        bodies = work.bodies(self._section(CODE))
        bodies += [sized(assemble(function, self.index)) for function, _ in self._added]
        return vector(bodies) if bodies or self._section(CODE) else None

    def _custom(self, found: Section, moves: list[int]) -> bytes:
        content = self.data[found.start : found.end]
        if found.name == "name":
            added = {self.index(name): name for name in self._names}
            named = custom.names(content, lambda old: moves[old] if old < len(moves) else old, added)
            if named is not None:
                return custom_section("name", named)
        elif not custom.goes_wrong(found.name):
            return custom_section(found.name, content)
        self.dropped.append(found.name)
        return b""


def _segment(at: int, content: bytes) -> bytes:
    """An active data segment; the place is an i32, which has a sign."""
    return b"\0\x41" + signed(at - (at >> 31 << 32)) + b"\x0b" + sized(content)


class _Rewriter:
    """Writes sections anew in which functions have moved."""

    def __init__(self, editor: Editor, moves: list[int]) -> None:
        self.editor = editor
        self.data = editor.data
        self.module = editor.module
        self.moves = moves

    def _moved(self, c: Cursor) -> bytes:
        """A function's index, read and written anew."""
        start = c.at
        index = c.u32("a function")
        if index >= len(self.moves):
            raise ModuleError(
                f"function {index} of {len(self.moves)} (at byte {start:#x})",
                remedy="the file is damaged or was not made by a WebAssembly compiler: build or copy it again",
                details={"offset": start},
            )
        return unsigned(self.moves[index])

    def _expression(self, c: Cursor) -> bytes:
        out, last = bytearray(), c.at

        def visit(code: int, start: int, end: int) -> None:
            nonlocal last
            if code in _CALLS:
                out.extend(self.data[last:start] + _CALLS[code] + self._moved(Cursor(self.data, start + 1, end)))
                last = end

        constant_expression(c, self.module, visit)
        return bytes(out) + self.data[last : c.at]

    def globals(self, found: Section | None) -> bytes | None:
        if found is None:
            return None
        c = Cursor(self.data, found.start, found.end)
        out = bytearray(unsigned(c.u32("the number of globals")))
        while not c.done:
            start = c.at
            global_type(c, self.module)
            out += self.data[start : c.at] + self._expression(c)
        return bytes(out)

    def tables(self, found: Section | None) -> bytes | None:
        if found is None:
            return None
        c = Cursor(self.data, found.start, found.end)
        out = bytearray(unsigned(c.u32("the number of tables")))
        while not c.done:
            start = c.at
            initial = self.data[c.at : c.at + 2] == b"\x40\0"
            if initial:
                c.skip(2, "a table")
            table_type(c, self.module)
            out += self.data[start : c.at]
            if initial:
                out += self._expression(c)
        return bytes(out)

    def exports(self, found: Section | None) -> bytes | None:
        if found is None:
            return None
        c = Cursor(self.data, found.start, found.end)
        out = bytearray(unsigned(c.u32("the number of exports")))
        while not c.done:
            start = c.at
            c.name("a name")
            kind = c.byte("a kind")
            out += self.data[start : c.at]
            out += self._moved(c) if kind == 0 else unsigned(c.u32("an index"))
        return bytes(out)

    def start(self, found: Section | None) -> bytes | None:
        return None if found is None else self._moved(Cursor(self.data, found.start, found.end))

    def elements(self, found: Section | None) -> bytes | None:
        if found is None:
            return None
        c = Cursor(self.data, found.start, found.end)
        out = bytearray(unsigned(c.u32("the number of element segments")))
        while not c.done:
            out += self._element(c)
        return bytes(out)

    def _element(self, c: Cursor) -> bytes:
        start = c.at
        flags = c.u32("flags")
        if not flags & 1 and flags & 2:
            c.u32("a table")
        out = bytearray(self.data[start : c.at])
        if not flags & 1:
            out += self._expression(c)
        start = c.at
        if flags & 3:
            if flags & 4 and self.data[c.at] != 0x70:
                reference_type(c, self.module, "an element segment")
            else:
                c.skip(1, "an element segment")
        count = c.u32("the number of elements")
        out += self.data[start : c.at]
        for _ in range(count):
            out += self._expression(c) if flags & 4 else self._moved(c)
        return bytes(out)

    def bodies(self, found: Section | None) -> list[bytes]:
        if found is None:
            return []
        c = Cursor(self.data, found.start, found.end)
        return [
            sized(self._body(c.part(c.u32("a size"), "a function"))) for _ in range(c.u32("the number of functions"))
        ]

    def _body(self, c: Cursor) -> bytes:
        data, replaced = self.data, self.editor.replaced
        out: list[bytes] = []
        last = c.at

        def visit(code: int, start: int, end: int) -> None:
            nonlocal last
            if code in _CALLS:
                new: bytes | None = _CALLS[code] + self._moved(Cursor(data, start + 1, end))
            else:
                replace = replaced.get(code)
                new = replace(Place(self.editor, data, code, start, end)) if replace else None
            if new is not None:
                out.append(data[last:start])
                out.append(new)
                last = end

        function_body(c, self.module, visit)
        out.append(data[last : c.end])
        return b"".join(out)
