"""Decoding instructions, to find the features that a function uses.

Most of a function's bytes are instructions of the first version of WebAssembly. Runs of those are skipped by one
regular expression, in C; what is left is decoded here one by one.
"""

# ruff: noqa: ARG001  # the readers of instructions share one signature

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lading.wasm.cursor import Malformed
from lading.wasm.types import block_type, heap_type, value_type

if TYPE_CHECKING:
    from lading.wasm.cursor import Cursor
    from lading.wasm.module import Module

MOST_LOCALS: Final = 50_000
MOST_DEPTH: Final = 100_000
_MOST_LABELS: Final = 7_654_321
_STEPS: Final = 4096

# Numbers of up to four bytes always fit 32 bits, those of up to nine always fit 64.
_LEB32 = rb"[\x80-\xff]{0,3}[\x00-\x7f]"
_LEB64 = rb"[\x80-\xff]{0,8}[\x00-\x7f]"
_COMMON: Final = (
    rb"[\x01\x0f\x1a\x1b\x45-\xbf]"  # nop, return, drop, select, numeric
    rb"|[\x20-\x24\x41]" + _LEB32 +  # local.*, global.*, i32.const
    rb"|[\x28-\x3e][\x00-\x1f]" + _LEB32 +  # load and store
    rb"|[\x0c\x0d]" + _LEB32 +  # br, br_if
    rb"|\x42" + _LEB64 + rb"|\x43.{4}|\x44.{8}"  # i64.const, f32.const, f64.const
)  # fmt: skip
_PLAIN: Final = re.compile(
    rb"(?:" + _COMMON +
    rb"|\x10" + _LEB32 +  # call
    rb"|[\x3f\x40]\x00"  # memory.size, memory.grow
    rb")*+",
    re.DOTALL,
)  # fmt: skip
_NOT_TOLD: Final = re.compile(rb"(?:" + _COMMON + rb")*+", re.DOTALL)

_GC_TYPE_ONLY: Final = {0, 1, 6, 7, 11, 12, 13, 14, 16}
_GC_TYPE_AND_INDEX: Final = {2, 3, 4, 5, 8, 9, 10, 17, 18, 19}
_GC_HEAP: Final = {20, 21, 22, 23}
_GC_CAST: Final = {24, 25}
_GC_PLAIN: Final = {15, 26, 27, 28, 29, 30}


Visitor = Callable[[int, int, int], None]
"""Is told the first byte of an instruction, where it begins and where it ends."""


def function_body(c: Cursor, m: Module, visit: Visitor | None = None) -> None:
    """A function: its locals and its instructions, to the last byte of ``c``.

    ``visit`` is told of every instruction but the commonest of the first version, which name neither functions nor
    memories: those that an editor never changes.
    """
    _locals(c, m)
    _instructions(c, m, visit)
    if not c.done:
        raise Malformed("bytes follow the end of a function", c.at)


def _locals(c: Cursor, m: Module) -> None:
    start, total = c.at, 0
    for _ in range(c.count(MOST_LOCALS, "groups of locals")):
        total += c.u32("the number of locals")
        value_type(c, m, "a local")
    if total > MOST_LOCALS:
        raise Malformed(f"a function has {total} locals, more than the {MOST_LOCALS} that are allowed", start)


def _instructions(c: Cursor, m: Module, visit: Visitor | None) -> None:
    """Everything up to the ``end`` of the outermost block."""
    data, end, plain = c.data, c.end, (_PLAIN if visit is None else _NOT_TOLD).match
    depth = 1
    steps = 0
    while depth:
        steps += 1
        if steps == _STEPS:
            c.work.spend(_STEPS, c.at)
            steps = 0
        run = plain(data, c.at, end)
        assert run is not None  # it matches the empty run as well
        c.at = run.end()
        start = c.at
        code = c.byte("a function without an end")
        if code == 0x0B:
            depth -= 1
        elif code in {0x02, 0x03, 0x04}:
            block_type(c, m)
            depth += 1
        elif code == 0x06 or code == 0x1F:
            _try(c, m, code, start)
            depth += 1
        elif code == 0x18:  # delegate ends a try
            m.use("legacy-exceptions", "delegate", start)
            c.u32("a label")
            depth -= 1
        else:
            reader = _READERS.get(code)
            if reader is None:
                raise Malformed(f"unknown instruction {code:#04x}", start)
            reader(c, m, code, start)
        if visit is not None:
            visit(code, start, c.at)
        if depth > MOST_DEPTH:
            raise Malformed(f"blocks are nested more than {MOST_DEPTH} deep", start)
    c.work.spend(steps, c.at)


def _try(c: Cursor, m: Module, code: int, start: int) -> None:
    block_type(c, m)
    if code == 0x06:
        m.use("legacy-exceptions", "try", start)
        return
    m.use("exceptions", "try_table", start)
    for _ in range(c.count(_MOST_LABELS, "catches")):
        kind = c.byte("a catch")
        if kind > 3:
            raise Malformed(f"unknown kind of catch {kind:#04x}", c.at - 1)
        if kind < 2:
            _below(c, len(m.tags), "tag")
        c.u32("a label")


def _below(c: Cursor, count: int, what: str) -> int:
    start = c.at
    index = c.u32(f"the index of a {what}")
    if index >= count:
        raise Malformed(f"{what} {index} of {count}", start)
    return index


def _none(c: Cursor, m: Module, code: int, start: int) -> None:
    pass


def _index(c: Cursor, m: Module, code: int, start: int) -> None:
    if code == 0x10:
        _below(c, len(m.functions), "function")
    elif code in {0x23, 0x24}:
        _below(c, len(m.globals), "global")
    else:
        c.u32("an index")


def _constant(c: Cursor, m: Module, code: int, start: int) -> None:
    if code == 0x41:
        c.s32("a constant")
    elif code == 0x42:
        c.s64("a constant")
    else:
        c.skip(4 if code == 0x43 else 8, "a constant")


def _memarg(c: Cursor, m: Module, code: int, start: int) -> None:
    at = c.at
    align = c.u32("an alignment")
    if align >= 0x80:
        raise Malformed(f"the alignment {align:#x} is not one", at)
    if align & 0x40:
        m.use("multi-memory", "an access to a memory by its index", at)
        c.u32("the index of a memory")
    offset = c.u64("an offset")
    if offset >= 2**32 and not any(memory.is64 for memory in m.memories):
        raise Malformed(f"the offset {offset} does not fit 32 bits", at)


def _memory_index(c: Cursor, m: Module, code: int, start: int) -> None:
    at = c.at
    if c.u32("the index of a memory") or c.at - at > 1:
        m.use("multi-memory", "a memory by its index", at)


def _br_table(c: Cursor, m: Module, code: int, start: int) -> None:
    for _ in range(c.count(_MOST_LABELS, "labels") + 1):
        c.u32("a label")


def _call_indirect(c: Cursor, m: Module, code: int, start: int) -> None:
    if code == 0x13:
        m.use("tail-call", "return_call_indirect", start)
    _below(c, len(m.types), "type")
    at = c.at
    if _below(c, len(m.tables), "table"):
        m.use("reference-types", "call_indirect through another table than the first", start)
    if c.at - at > 1:
        m.use("call-indirect-overlong", "call_indirect with a table index of several bytes", start)


def _return_call(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("tail-call", "return_call", start)
    _below(c, len(m.functions), "function")


def _call_ref(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("function-references", "call_ref", start)
    if code == 0x15:
        m.use("tail-call", "return_call_ref", start)
    _below(c, len(m.types), "type")


def _select_typed(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("reference-types", "select with a type", start)
    for _ in range(c.count(MOST_LOCALS, "types of a select")):
        value_type(c, m, "a select")


def _legacy_exception(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("legacy-exceptions", {0x07: "catch", 0x09: "rethrow", 0x19: "catch_all"}[code], start)
    if code == 0x07:
        _below(c, len(m.tags), "tag")
    elif code == 0x09:
        c.u32("a label")


def _throw(c: Cursor, m: Module, code: int, start: int) -> None:
    if code == 0x08:  # the same instruction in both forms of exceptions: the other ones tell which
        _below(c, len(m.tags), "tag")
    else:
        m.use("exceptions", "throw_ref", start)


def _table_access(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("reference-types", "table.get or table.set", start)
    _below(c, len(m.tables), "table")


def _sign_extension(c: Cursor, m: Module, code: int, start: int) -> None:
    m.use("sign-extension", "an extend instruction", start)


def _reference(c: Cursor, m: Module, code: int, start: int) -> None:
    if code == 0xD0:
        m.use("reference-types", "ref.null", start)
        heap_type(c, m, "ref.null")
    elif code == 0xD1:
        m.use("reference-types", "ref.is_null", start)
    elif code == 0xD2:
        m.use("reference-types", "ref.func", start)
        _below(c, len(m.functions), "function")
    elif code == 0xD3:
        m.use("gc", "ref.eq", start)
    else:
        m.use("function-references", "ref.as_non_null or br_on_null", start)
        if code != 0xD4:
            c.u32("a label")


def _gc(c: Cursor, m: Module, code: int, start: int) -> None:
    number = c.u32("an instruction")
    m.use("gc", "an instruction of the gc proposal", start)
    if number in _GC_TYPE_ONLY or number in _GC_TYPE_AND_INDEX:
        _below(c, len(m.types), "type")
        if number in _GC_TYPE_AND_INDEX:
            c.u32("an index")
    elif number in _GC_HEAP:
        heap_type(c, m, "a cast")
    elif number in _GC_CAST:
        if c.byte("the flags of a cast") > 3:
            raise Malformed("unknown flags of a cast", c.at - 1)
        c.u32("a label")
        heap_type(c, m, "a cast")
        heap_type(c, m, "a cast")
    elif number not in _GC_PLAIN:
        raise Malformed(f"unknown instruction 0xfb {number}", start)


def _misc(c: Cursor, m: Module, code: int, start: int) -> None:
    number = c.u32("an instruction")
    if number <= 7:
        m.use("saturating-float-to-int", "a trunc_sat instruction", start)
    elif number <= 11:
        m.use("bulk-memory", ("memory.init", "data.drop", "memory.copy", "memory.fill")[number - 8], start)
        if number <= 9:
            c.u32("the index of a data segment")
        for _ in range((1, 0, 2, 1)[number - 8]):
            _memory_index(c, m, code, start)
    elif number <= 14:
        m.use("bulk-memory", ("table.init", "elem.drop", "table.copy")[number - 12], start)
        if number <= 13:
            _below(c, m.elements, "element segment")
        for _ in range((1, 0, 2)[number - 12]):
            if _below(c, len(m.tables), "table"):
                m.use("reference-types", "a table that is not the first", start)
    elif number <= 17:
        m.use("reference-types", ("table.grow", "table.size", "table.fill")[number - 15], start)
        _below(c, len(m.tables), "table")
    elif 19 <= number <= 22:
        m.use("wide-arithmetic", "an instruction on 128-bit numbers", start)
    else:
        raise Malformed(f"unknown instruction 0xfc {number}", start)


def _simd(c: Cursor, m: Module, code: int, start: int) -> None:
    number = c.u32("an instruction")
    m.use("simd", "a vector instruction", start)
    if number <= 11 or 92 <= number <= 93:
        _memarg(c, m, code, start)
    elif number <= 13:
        c.skip(16, "a vector constant")
    elif 21 <= number <= 34:
        c.skip(1, "a lane")
    elif 84 <= number <= 91:
        _memarg(c, m, code, start)
        c.skip(1, "a lane")
    elif number >= 256:
        if number > 275:
            raise Malformed(f"unknown instruction 0xfd {number}", start)
        m.use("relaxed-simd", "a relaxed vector instruction", start)
    elif number in _SIMD_GAPS:
        raise Malformed(f"unknown instruction 0xfd {number}", start)


# Numbers of the vector space that no instruction has.
_SIMD_GAPS: Final = {154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238}


def _atomic(c: Cursor, m: Module, code: int, start: int) -> None:
    number = c.u32("an instruction")
    m.use("threads", "an atomic instruction", start)
    if number == 3:
        if c.byte("a fence"):
            raise Malformed("a fence with flags", c.at - 1)
    elif number <= 2 or 0x10 <= number <= 0x4E:
        _memarg(c, m, code, start)
    else:
        raise Malformed(f"unknown instruction 0xfe {number}", start)


_READERS: Final[dict[int, Callable[[Cursor, Module, int, int], None]]] = {
    **dict.fromkeys([0x00, 0x01, 0x05, 0x0F, 0x1A, 0x1B, *range(0x45, 0xC0)], _none),
    **dict.fromkeys([0x0C, 0x0D, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24], _index),
    **dict.fromkeys([0x41, 0x42, 0x43, 0x44], _constant),
    **dict.fromkeys(range(0x28, 0x3F), _memarg),
    **dict.fromkeys([0x3F, 0x40], _memory_index),
    **dict.fromkeys([0x11, 0x13], _call_indirect),
    **dict.fromkeys([0x14, 0x15], _call_ref),
    **dict.fromkeys([0x07, 0x09, 0x19], _legacy_exception),
    **dict.fromkeys([0x08, 0x0A], _throw),
    **dict.fromkeys([0x25, 0x26], _table_access),
    **dict.fromkeys(range(0xC0, 0xC5), _sign_extension),
    **dict.fromkeys(range(0xD0, 0xD7), _reference),
    0x0E: _br_table,
    0x12: _return_call,
    0x1C: _select_typed,
    0xFB: _gc,
    0xFC: _misc,
    0xFD: _simd,
    0xFE: _atomic,
}


def constant_expression(c: Cursor, m: Module, visit: Visitor | None = None) -> None:
    """An initial value: a few kinds of instructions up to ``end``; ``visit`` is told of references."""
    while True:
        start = c.at
        code = c.byte("an initial value")
        if code == 0x0B:
            return
        if code in {0x41, 0x42, 0x43, 0x44}:
            _constant(c, m, code, start)
        elif code == 0x23:
            _below(c, len(m.globals), "global")
        elif code in {0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E}:
            m.use("extended-const", "arithmetic in an initial value", start)
        elif code in {0xD0, 0xD2}:
            _reference(c, m, code, start)
            if visit is not None:
                visit(code, start, c.at)
        elif code == 0xFB:
            _gc(c, m, code, start)
        elif code == 0xFD:
            _simd(c, m, code, start)
        else:
            raise Malformed(f"instruction {code:#04x} is not allowed in an initial value", start)
