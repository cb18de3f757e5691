"""Shared libraries made for tests: small, with every table that a loader reads, and something behind to cut off."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MACHINES = {"x86_64": 62, "aarch64": 183, "armv7l": 40}
HEADER, PROGRAM = 64, 56
JUNK = b"debug sections and symbols" * 64


def library(
    symbols: Iterable[str],
    *,
    architecture: str = "x86_64",
    needs: Mapping[str, Sequence[str]] | None = None,
    gnu_hash: bool = False,
    junk: bytes = JUNK,
) -> bytes:
    """A library that defines ``symbols`` and wants versions, as in ``{"libc.so.6": ["GLIBC_2.28"]}``."""
    names = _Names()
    defined = sorted(set(symbols))
    table = bytes(24) + b"".join(struct.pack("<IBBHQQ", names.add(name), 0x12, 0, 1, 0x1000, 8) for name in defined)
    wanted = dict(needs or {})
    needed = [names.add(file) for file in wanted]
    versions = _versions(wanted, names)
    hashes = _gnu_hash(len(defined)) if gnu_hash else struct.pack("<II", 1, len(defined) + 1) + bytes(4)
    parts: dict[str, bytes] = {"symbols": table, "versions": versions, "hash": hashes, "names": bytes(names.data)}
    at = HEADER + 2 * PROGRAM
    places: dict[str, int] = {}
    for name, content in parts.items():
        at = -(-at // 8) * 8
        places[name] = at
        at += len(content)
    dynamic_at = -(-at // 8) * 8
    tags = [(1, offset) for offset in needed]
    tags += [(6, places["symbols"]), (5, places["names"]), (10, len(names.data))]
    tags += [(0x6FFFFEF5 if gnu_hash else 4, places["hash"])]
    if wanted:
        tags += [(0x6FFFFFFE, places["versions"]), (0x6FFFFFFF, len(wanted))]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in [*tags, (0, 0)])
    end = dynamic_at + len(dynamic)
    out = bytearray(end)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    sections = end + len(junk)
    out[:HEADER] = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, MACHINES[architecture], 1, 0, HEADER, sections, 0, 64, PROGRAM, 2, 64, 0, 0
    )
    out[HEADER : HEADER + PROGRAM] = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, end, end, 4096)
    out[HEADER + PROGRAM : HEADER + 2 * PROGRAM] = struct.pack(
        "<IIQQQQQQ", 2, 4, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8
    )
    for name, content in parts.items():
        out[places[name] : places[name] + len(content)] = content
    out[dynamic_at:] = dynamic
    return bytes(out) + junk


class _Names:
    def __init__(self) -> None:
        self.data = bytearray(b"\0")

    def add(self, name: str) -> int:
        at = len(self.data)
        self.data += name.encode() + b"\0"
        return at


def _versions(wanted: Mapping[str, Sequence[str]], names: _Names) -> bytes:
    out = b""
    for index, (file, versions) in enumerate(wanted.items()):
        aux = b""
        for number, version in enumerate(versions):
            last = number == len(versions) - 1
            aux += struct.pack("<IHHII", 0, 0, 2, names.add(version), 0 if last else 16)
        last_file = index == len(wanted) - 1
        out += struct.pack("<HHIII", 1, len(versions), names.add(file), 16, 0 if last_file else 16 + len(aux)) + aux
    return out


def _gnu_hash(symbols: int) -> bytes:
    """One bucket with all of them in a single chain."""
    if not symbols:
        return struct.pack("<IIII", 1, 1, 1, 0) + bytes(8) + struct.pack("<I", 0)
    chain = [0] * (symbols - 1) + [1]
    return struct.pack("<IIII", 1, 1, 1, 0) + bytes(8) + struct.pack("<I", 1) + struct.pack(f"<{symbols}I", *chain)
