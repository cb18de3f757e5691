"""A small assembler: flat text with one instruction after the other becomes the body of a function.

Locals and functions go by name; ``if``, ``block`` and ``loop`` have no results. Only what adapters need is known.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VALUE_TYPES: Final[Mapping[str, int]] = {"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C}

_PLAIN: Final[Mapping[str, int]] = {
    "unreachable": 0x00, "else": 0x05, "end": 0x0B, "return": 0x0F, "drop": 0x1A, "select": 0x1B,
    "i32.eqz": 0x45, "i32.eq": 0x46, "i32.ne": 0x47, "i32.lt_s": 0x48, "i32.lt_u": 0x49, "i32.gt_u": 0x4B,
    "i32.le_u": 0x4D, "i32.ge_u": 0x4F, "i64.eqz": 0x50, "i64.lt_u": 0x54, "i64.gt_u": 0x56, "i64.le_u": 0x58,
    "f32.ne": 0x5C, "f32.lt": 0x5D, "f32.gt": 0x5E, "f32.le": 0x5F, "f32.ge": 0x60,
    "f64.ne": 0x62, "f64.lt": 0x63, "f64.gt": 0x64, "f64.le": 0x65, "f64.ge": 0x66,
    "i32.add": 0x6A, "i32.sub": 0x6B, "i32.mul": 0x6C, "i32.and": 0x71, "i32.or": 0x72, "i32.xor": 0x73,
    "i32.shl": 0x74, "i32.shr_s": 0x75, "i32.shr_u": 0x76, "i64.add": 0x7C, "i64.sub": 0x7D, "i64.mul": 0x7E,
    "i64.and": 0x83, "i64.shl": 0x86, "i64.shr_s": 0x87, "i64.shr_u": 0x88,
    "f32.add": 0x92, "f32.sub": 0x93, "f32.mul": 0x94,
    "f64.trunc": 0x9D, "f64.add": 0xA0, "f64.sub": 0xA1, "f64.mul": 0xA2, "f64.div": 0xA3, "f64.copysign": 0xA6,
    "i32.wrap_i64": 0xA7, "i32.trunc_f32_s": 0xA8, "i32.trunc_f32_u": 0xA9, "i32.trunc_f64_s": 0xAA,
    "i32.trunc_f64_u": 0xAB, "i64.extend_i32_s": 0xAC, "i64.extend_i32_u": 0xAD, "i64.trunc_f32_s": 0xAE,
    "i64.trunc_f32_u": 0xAF, "i64.trunc_f64_s": 0xB0, "i64.trunc_f64_u": 0xB1, "f32.convert_i32_s": 0xB2,
    "f64.promote_f32": 0xBB,
}  # fmt: skip
_BLOCKS: Final[Mapping[str, int]] = {"block": 0x02, "loop": 0x03, "if": 0x04}
_LOCALS: Final[Mapping[str, int]] = {"local.get": 0x20, "local.set": 0x21, "local.tee": 0x22}
_ACCESS: Final[Mapping[str, int]] = {
    "i32.load": 0x28, "i64.load": 0x29, "f32.load": 0x2A, "i32.load8_s": 0x2C, "i32.load8_u": 0x2D,
    "i32.store": 0x36, "i64.store": 0x37, "f32.store": 0x38, "i32.store8": 0x3A,
}  # fmt: skip
_NO_RESULT: Final = 0x40


@dataclass(frozen=True)
class Function:
    """A function to be added to a module.

    ``params`` and ``locals`` are pairs of name and type; ``text`` is the body without its last ``end``.
    """

    name: str
    params: tuple[tuple[str, str], ...]
    results: tuple[str, ...]
    text: str
    locals: tuple[tuple[str, str], ...] = ()


def unsigned(value: int) -> bytes:
    """LEB128 without a sign, as short as it can be."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def signed(value: int) -> bytes:
    """LEB128 with a sign, as short as it can be."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if value == (-1 if byte & 0x40 else 0):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def vector(items: list[bytes]) -> bytes:
    """How many there are, then each."""
    return unsigned(len(items)) + b"".join(items)


def sized(content: bytes) -> bytes:
    """How many bytes there are, then the bytes."""
    return unsigned(len(content)) + content


def type_entry(params: tuple[str, ...], results: tuple[str, ...]) -> bytes:
    """An entry of the type section; types are numbers only."""
    return (
        b"\x60" + vector([bytes([VALUE_TYPES[p]]) for p in params]) + vector([bytes([VALUE_TYPES[r]]) for r in results])
    )


def assemble(function: Function, index: Callable[[str], int]) -> bytes:
    """The function's entry for the code section, without its size.

    Args:
        function: what to assemble.
        index: gives the index of a function that it calls.

    Raises:
        ValueError: the text has a word that is not known.
    """
    places = {name: at for at, (name, _) in enumerate((*function.params, *function.locals))}
    out = bytearray(vector([b"\x01" + bytes([VALUE_TYPES[kind]]) for _, kind in function.locals]))
    words = iter(function.text.split())
    for word in words:
        out += _instruction(word, words, places, index)
    return bytes(out) + b"\x0b"


def _instruction(word: str, rest: Iterator[str], places: Mapping[str, int], index: Callable[[str], int]) -> bytes:
    if word in _PLAIN:
        return bytes([_PLAIN[word]])
    if word in _LOCALS:
        return bytes([_LOCALS[word]]) + unsigned(places[next(rest)])
    if word in _ACCESS:  # the alignment is a hint only, and none is promised
        return bytes([_ACCESS[word], 0]) + unsigned(int(next(rest)))
    if word in _BLOCKS:
        return bytes([_BLOCKS[word], _NO_RESULT])
    if word in {"br", "br_if"}:
        return bytes([0x0C if word == "br" else 0x0D]) + unsigned(int(next(rest)))
    if word == "call":
        return b"\x10" + unsigned(index(next(rest)))
    if word in {"i32.const", "i64.const"}:
        bits = 32 if word == "i32.const" else 64
        value = int(next(rest), 0)
        value -= (value >> (bits - 1) & 1) << bits if value >= 0 else 0
        return bytes([0x41 if bits == 32 else 0x42]) + signed(value)
    if word == "f32.const":
        return b"\x43" + struct.pack("<f", float(next(rest)))
    if word == "f64.const":
        return b"\x44" + struct.pack("<d", float(next(rest)))
    if word in {"memory.size", "memory.grow"}:
        return bytes([0x3F if word == "memory.size" else 0x40, 0])
    if word == "memory.init":  # of a passive data segment
        return b"\xfc\x08" + unsigned(int(next(rest))) + b"\0"
    raise ValueError(f"the assembler does not know {word!r}")
