"""Shared libraries, as far as a device's loader reads them: what they need, what they define, and cutting off the rest.

Only program headers and the dynamic section are looked at, as the loader does, so that a library without section
headers reads alike. Nothing in a file is trusted: every place is checked against the file before it is read, and every
table has a limit.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BYTES: Final = 256 * 1024 * 1024
"""A library is never larger than this."""

_MOST_HEADERS: Final = 64
_MOST_DYNAMIC: Final = 4096
_MOST_SYMBOLS: Final = 1 << 18
_MOST_VERSIONS: Final = 1024
_MOST_NAME: Final = 4096

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM: Final = struct.Struct("<IIQQQQQQ")
_DYNAMIC: Final = struct.Struct("<qQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_NEED: Final = struct.Struct("<HHIII")
_NEED_AUX: Final = struct.Struct("<IHHII")
_WORDS: Final = struct.Struct("<IIII")

_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
_SHARED: Final = 3
_LOAD, _DYNAMIC_SEGMENT = 1, 2
_NEEDED, _STRTAB, _SYMTAB, _STRSZ, _HASH = 1, 5, 6, 10, 4
_GNU_HASH, _VERNEED, _VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFF
_WEAK_VERSION: Final = 2
_SECTIONS_AT, _SECTION_COUNT_AT = 40, 60

_FAMILIES: Final = {"GLIBC": "glibc", "GLIBCXX": "glibcxx", "CXXABI": "cxxabi", "GCC": "libgcc"}
"""Prefix of a symbol version to what a minimum is called."""


class ElfError(ValueError):
    """Not a shared library that a device could load."""


@dataclass(frozen=True)
class Library:
    """What a shared library (or a program that is loaded like one) says of itself."""

    architecture: str
    """As ``uname -m`` says it."""
    needed: tuple[str, ...]
    """The libraries that it wants, by file name."""
    minimums: dict[str, str]
    """``glibc``, ``glibcxx``, ``cxxabi``, ``libgcc``: the newest version that it wants of each."""
    loaded_bytes: int
    """Octets from the file's beginning that a loader reads."""
    symbols: frozenset[str] = field(repr=False)
    """The names that it defines."""


def read(data: bytes) -> Library:
    """Read a 64-bit little-endian ELF file for x86-64 or 64-bit ARM.

    Raises:
        ElfError: it is none, or is damaged.
    """
    return _Reader(data).library()


def strip(data: bytes) -> bytes:
    """The file without what no loader reads, all behind the loaded part: section headers, symbols, debug sections.

    The same bytes in give the same bytes out, whatever the machine.

    Raises:
        ElfError: it is no library, or is damaged.
    """
    end = read(data).loaded_bytes
    kept = bytearray(data[:end])
    kept[_SECTIONS_AT : _SECTIONS_AT + 8] = bytes(8)
    kept[_SECTION_COUNT_AT : _SECTION_COUNT_AT + 4] = bytes(4)
    return bytes(kept)


class _Reader:
    def __init__(self, data: bytes) -> None:
        if len(data) > MOST_BYTES:
            raise ElfError(f"is longer than {MOST_BYTES} bytes")
        self._data = data
        ident, kind, machine, _, _, programs_at, *_, size, count, _, _, _ = self._take(_HEADER, 0)
        if ident[:4] != b"\x7fELF":
            raise ElfError("is not an ELF file")
        if ident[4:7] != b"\x02\x01\x01" or kind != _SHARED:
            raise ElfError("is not a 64-bit little-endian shared library")
        if machine not in _MACHINES:
            raise ElfError(f"is for another processor (ELF machine {machine})")
        if size != _PROGRAM.size or not 0 < count <= _MOST_HEADERS:
            raise ElfError(f"has {count} program headers of {size} bytes")
        self._architecture = _MACHINES[machine]
        self._headers_end = programs_at + count * size
        self._segments = [self._take(_PROGRAM, programs_at + i * size) for i in range(count)]
        for kind_, _, at, _, _, in_file, _, _ in self._segments:
            if kind_ in (_LOAD, _DYNAMIC_SEGMENT) and at + in_file > len(data):
                raise ElfError("ends before its segments do")
        self._tags = self._dynamic()

    def library(self) -> Library:
        loads = [at + in_file for kind, _, at, _, _, in_file, _, _ in self._segments if kind == _LOAD]
        if not loads:
            raise ElfError("has nothing to load")
        needed = tuple(self._string(offset) for tag, offset in self._tags if tag == _NEEDED)
        return Library(
            self._architecture,
            needed,
            self._minimums(),
            max(*loads, self._headers_end, _HEADER.size),
            frozenset(self._symbols()),
        )

    def _take(self, shape: struct.Struct, at: int) -> tuple[Any, ...]:
        if at < 0 or at + shape.size > len(self._data):
            raise ElfError(f"ends before byte {at + shape.size}")
        return shape.unpack_from(self._data, at)

    def _dynamic(self) -> list[tuple[int, int]]:
        found = [(at, in_file) for kind, _, at, _, _, in_file, _, _ in self._segments if kind == _DYNAMIC_SEGMENT]
        if not found:
            raise ElfError("has no dynamic section")
        at, in_file = found[0]
        tags: list[tuple[int, int]] = []
        for index in range(min(in_file // _DYNAMIC.size, _MOST_DYNAMIC)):
            tag, value = self._take(_DYNAMIC, at + index * _DYNAMIC.size)
            if tag == 0:
                return tags
            tags.append((tag, value))
        raise ElfError("has a dynamic section without end")

    def _tag(self, wanted: int) -> int | None:
        return next((value for tag, value in self._tags if tag == wanted), None)

    def _in_file(self, address: int) -> int:
        for kind, _, at, start, _, in_file, _, _ in self._segments:
            if kind == _LOAD and start <= address < start + in_file:
                return int(at + address - start)
        raise ElfError(f"speaks of address {address:#x}, which is not in the file")

    def _string(self, offset: int) -> str:
        start, size = self._tag(_STRTAB), self._tag(_STRSZ)
        if start is None or size is None or offset >= size:
            raise ElfError("has a name outside its names")
        at = self._in_file(start) + offset
        end = self._data.find(b"\0", at, at + min(size - offset, _MOST_NAME))
        if end < 0:
            raise ElfError("has a name without end")
        return self._data[at:end].decode("utf-8", "backslashreplace")

    def _minimums(self) -> dict[str, str]:
        newest: dict[str, tuple[int, ...]] = {}
        for name in self._wanted_versions():
            prefix, _, number = name.partition("_")
            family, parts = _FAMILIES.get(prefix), number.split(".")
            if family and len(parts) <= 4 and all(p.isascii() and p.isdigit() and len(p) < 6 for p in parts):
                newest[family] = max(newest.get(family, ()), tuple(map(int, parts)))
        return {family: ".".join(map(str, version)) for family, version in sorted(newest.items())}

    def _wanted_versions(self) -> Iterator[str]:
        start, files = self._tag(_VERNEED), self._tag(_VERNEEDNUM) or 0
        if start is None:
            return
        if files > _MOST_VERSIONS:
            raise ElfError(f"wants versions of {files} libraries")
        at = self._in_file(start)
        seen = 0
        for _ in range(files):
            _, count, _, aux, following = self._take(_NEED, at)
            entry = at + aux
            for _ in range(count):
                seen += 1
                if seen > _MOST_VERSIONS:
                    raise ElfError(f"wants more than {_MOST_VERSIONS} versions")
                _, flags, _, name, further = self._take(_NEED_AUX, entry)
                if not flags & _WEAK_VERSION:
                    yield self._string(name)
                if not further:
                    break
                entry += further
            if not following:
                return
            at += following

    def _symbols(self) -> Iterator[str]:
        start = self._tag(_SYMTAB)
        if start is None:
            return
        at = self._in_file(start)
        for index in range(self._symbol_count()):
            name, info, _, section, value, _ = self._take(_SYMBOL, at + index * _SYMBOL.size)
            if name and section and value and info >> 4 in (1, 2):
                yield self._string(name)

    def _symbol_count(self) -> int:
        plain, gnu = self._tag(_HASH), self._tag(_GNU_HASH)
        if plain is not None:
            _, count = self._take(struct.Struct("<II"), self._in_file(plain))
        elif gnu is not None:
            count = self._count_of_gnu_hash(self._in_file(gnu))
        else:
            count = 0
        if count > _MOST_SYMBOLS:
            raise ElfError(f"has {count} symbols")
        return int(count)

    def _count_of_gnu_hash(self, at: int) -> int:
        buckets, first, filters, _ = self._take(_WORDS, at)
        if buckets > _MOST_SYMBOLS or filters > _MOST_SYMBOLS:
            raise ElfError(f"has a hash table of {buckets} buckets")
        start = at + _WORDS.size + filters * 8
        heads = self._take(struct.Struct(f"<{buckets}I"), start)
        last = max(heads, default=0)
        if last < first:
            return int(first)
        chains = start + buckets * 4
        while last - first <= _MOST_SYMBOLS:
            (word,) = self._take(struct.Struct("<I"), chains + (last - first) * 4)
            last += 1
            if word & 1:
                return last
        raise ElfError(f"has more than {_MOST_SYMBOLS} symbols")
