"""Small modules that use one wasm proposal each: whether a runtime takes them is what it supports.

Each does nothing but return, so that a module that is refused was refused for its feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_START: Final = '(func (export "_start")'

TEXTS: Final[Mapping[str, str]] = {
    "mvp": f'(module (memory (export "memory") 1) {_START}))',
    "sign-extension": f'(module (memory (export "memory") 1) {_START} (drop (i32.extend8_s (i32.const 200)))))',
    "saturating-float-to-int": (
        f'(module (memory (export "memory") 1) {_START} (drop (i32.trunc_sat_f32_s (f32.const 1e20)))))'
    ),
    "mutable-globals": f'(module (memory (export "memory") 1) (global (export "g") (mut i32) (i32.const 1)) {_START}))',
    "bulk-memory": (
        f'(module (memory (export "memory") 1) {_START}'
        " (memory.fill (i32.const 0) (i32.const 1) (i32.const 8))"
        " (memory.copy (i32.const 8) (i32.const 0) (i32.const 8))))"
    ),
    "multi-value": (
        '(module (memory (export "memory") 1) (func $two (result i32 i32) (i32.const 1) (i32.const 2))'
        f" {_START} (call $two) (drop) (drop)))"
    ),
    "reference-types": (
        f'(module (memory (export "memory") 1) (table 1 externref) {_START}'
        " (table.set (i32.const 0) (ref.null extern))))"
    ),
    "simd": (
        f'(module (memory (export "memory") 1) {_START}'
        " (drop (i8x16.add (v128.const i32x4 1 2 3 4) (v128.const i32x4 5 6 7 8)))))"
    ),
    "relaxed-simd": (
        f'(module (memory (export "memory") 1) {_START}'
        " (drop (i8x16.relaxed_swizzle (v128.const i32x4 1 2 3 4) (v128.const i32x4 5 6 7 8)))))"
    ),
    "tail-call": (
        '(module (memory (export "memory") 1) (func $f (result i32) (i32.const 1))'
        f" (func $g (result i32) (return_call $f)) {_START} (drop (call $g))))"
    ),
    "extended-const": (
        f'(module (memory (export "memory") 1) (global i32 (i32.add (i32.const 1) (i32.const 2))) {_START}))'
    ),
    "threads": (
        f'(module (memory (export "memory") 1) {_START} (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 1)))))'
    ),
    "multi-memory": (
        f'(module (memory (export "memory") 1) (memory $second 1) {_START}'
        " (i32.store $second (i32.const 0) (i32.const 1))))"
    ),
    "memory64": f"(module (memory i64 1) {_START}))",
    "function-references": (
        '(module (type $t (func)) (memory (export "memory") 1) (elem declare func $f) (func $f (type $t))'
        f" {_START} (call_ref $t (ref.func $f))))"
    ),
    "gc": (
        f'(module (type $s (struct (field i32))) (memory (export "memory") 1) {_START} (drop (struct.new_default $s))))'
    ),
    "exceptions": f'(module (memory (export "memory") 1) (tag $t) {_START}))',
}
"""Modules by the name of the proposal; ``mvp`` needs none, and every runtime has to take it."""

_LONG_TABLE_INDEX: Final = bytes.fromhex(
    "0061736d 01000000"
    "0104 01 600000"  # type 0: no parameters, no result
    "0303 02 00 00"  # two functions of it
    "0404 01 70 00 01"  # a table of one function
    "0503 01 00 01"  # a memory of one page
    "0713 02 06 6d656d6f7279 02 00 06 5f7374617274 00 01"
    "0907 01 00 41 00 0b 01 00"  # the first function in the table
    "0a10 02 02 00 0b 0b 00 41 00 11 00 8080808000 0b"
)
"""``call_indirect`` with its table index written in five bytes, as compilers leave it to a linker."""

BYTES: Final[Mapping[str, bytes]] = {"call-indirect-overlong": _LONG_TABLE_INDEX}
"""The same for what the text format cannot say."""

NAMES: Final = tuple(name for name in (*TEXTS, *BYTES) if name != "mvp")
