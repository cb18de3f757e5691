"""Probe guests as WebAssembly text: straight-line calls, each followed by a line that tells what came of it.

Lines begin with ``@lading`` on a line of their own, since some runtimes print their log on standard output as well::

    @lading begin
    @lading call 0 00000000 00000000        call number, errno, then each watched piece of memory, all hexadecimal
    @lading call 1 00000005 eeeeeeee
    @lading end

A call that does not return has no line, and ``end`` is missing: that is how a trap or a crash is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.probe.features import BYTES, TEXTS
from lading.probe.script import FIRST, PAGES, Ref
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.probe.script import Arg, Program

MARK: Final = "@lading"
ERRNO_BASE: Final = 64
"""A guest that cannot print exits with this plus the errno of its last call."""
MOST_BYTES: Final = 64 * 1024
"""No probe guest is larger."""

_LINE: Final = 64
_BEGIN: Final = 4096
_END: Final = 4160


def assemble(program: Program) -> bytes:
    """The guest's module.

    Returns:
        A core module in binary form.
    """
    if program.raw is not None:
        return program.raw
    if program.feature in BYTES:
        return BYTES[program.feature]
    import wasmtime

    return bytes(wasmtime.wat2wasm(text(program)))


def text(program: Program) -> str:
    """The guest as WebAssembly text."""
    if program.feature:
        return TEXTS[program.feature]
    if not program.memory:
        return _silent(program)
    layout = _parameters(program)
    lines = [
        "(module",
        *_imports(program),
        f'(import "{program.wasi}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))',
        f'(import "{program.wasi}" "proc_exit" (func $exit (param i32)))' if program.end == "exit" else "",
        f'(memory (export "memory") {PAGES})',
        _data(_BEGIN, f"\n{MARK} begin\n".encode()),
        _data(_END, f"\n{MARK} end\n".encode()),
        *(_data(at, data) for at, data in program.pieces),
        _HELPERS,
        '(func (export "_start") (local $r i32) (local $ok i32)',
        f"(call $say (i32.const {_BEGIN}) (i32.const {len(MARK) + 8}))",
    ]
    item: int | None = None
    for number, call in enumerate(program.calls):
        if call.item != item:
            item = call.item
            lines.append("(local.set $ok (i32.const 1))")
        assert len(call.args) == len(layout[call.function]), call
        made = [
            f"(local.set $r (call ${call.function} {' '.join(map(_arg, call.args))}))",
            f"(call $head (i32.const {number}) (local.get $r))",
            *(f"(call $hex (i32.const {at}) (i32.const {length}))" for at, length in call.watch),
            "(call $tail)",
            "(local.set $ok (i32.and (local.get $ok) (i32.eqz (local.get $r))))",
        ]
        lines += ["(if (local.get $ok) (then", *made, "))"] if call.if_ok else made
    if program.end == "trap":
        lines.append("(unreachable)")
    lines.append(f"(call $say (i32.const {_END}) (i32.const {len(MARK) + 6}))")
    if program.end == "exit":
        lines.append(f"(call $exit (i32.const {program.status}))")
    return "\n".join([*filter(None, lines), "))"])


def _silent(program: Program) -> str:
    """A guest that exports no memory: it makes its calls and exits with the last errno plus :data:`ERRNO_BASE`."""
    calls = "\n".join(
        f"(local.set $r (call ${call.function} {' '.join(map(_arg, call.args))}))" for call in program.calls
    )
    return "\n".join(
        [
            "(module",
            *_imports(program),
            f'(import "{program.wasi}" "proc_exit" (func $exit (param i32)))',
            f"(memory {PAGES})",
            *(_data(at, data) for at, data in program.pieces),
            '(func (export "_start") (local $r i32)',
            calls,
            f"(call $exit (i32.add (i32.const {ERRNO_BASE}) (i32.and (local.get $r) (i32.const 63))))))",
        ]
    )


def _parameters(program: Program) -> dict[str, tuple[str, ...]]:
    from lading.probe.script import LAYOUT_OF

    return PARAMETERS[LAYOUT_OF.get(program.module, "witx")]


def _imports(program: Program) -> Iterable[str]:
    layout = _parameters(program)
    for name in program.functions:
        params = "i32 " * len(layout[name])
        yield f'(import "{program.module}" "{name}" (func ${name} (param {params}) (result i32)))'
    for module, name, count in program.imports:
        yield f'(import "{module}" "{name}" (func (param {"i32 " * count}) (result i32)))'


def _arg(arg: Arg) -> str:
    return f"(i32.load (i32.const {arg.at}))" if isinstance(arg, Ref) else f"(i32.const {_signed(arg)})"


def _signed(value: int) -> int:
    return value - 0x100000000 if value & 0x80000000 else value


def _data(at: int, data: bytes) -> str:
    assert at < FIRST or at >= FIRST, at
    return f'(data (i32.const {at}) "{"".join(f"{chr(92)}{byte:02x}" for byte in data)}")'


_HELPERS: Final = f"""
(global $at (mut i32) (i32.const {_LINE}))
(func $put (param $byte i32)
  (i32.store8 (global.get $at) (local.get $byte))
  (global.set $at (i32.add (global.get $at) (i32.const 1))))
(func $digit (param $n i32)
  (call $put (i32.add (local.get $n)
    (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $n) (i32.const 10))))))
(func $byte (param $n i32)
  (call $digit (i32.shr_u (local.get $n) (i32.const 4)))
  (call $digit (i32.and (local.get $n) (i32.const 15))))
(func $u32 (param $n i32)
  (call $byte (i32.shr_u (local.get $n) (i32.const 24)))
  (call $byte (i32.and (i32.shr_u (local.get $n) (i32.const 16)) (i32.const 255)))
  (call $byte (i32.and (i32.shr_u (local.get $n) (i32.const 8)) (i32.const 255)))
  (call $byte (i32.and (local.get $n) (i32.const 255))))
(func $say (param $from i32) (param $len i32)
  (loop $more
    (i32.store (i32.const 16) (local.get $from)) (i32.store (i32.const 20) (local.get $len))
    (if (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)) (then (unreachable)))
    (local.set $from (i32.add (local.get $from) (i32.load (i32.const 24))))
    (local.set $len (i32.sub (local.get $len) (i32.load (i32.const 24))))
    (br_if $more (local.get $len))))
(func $head (param $number i32) (param $errno i32)
  (global.set $at (i32.const {_LINE}))
  {"".join(f"(call $put (i32.const {byte}))" for byte in f"{chr(10)}{MARK} call ".encode())}
  (call $u32 (local.get $number))
  (call $put (i32.const 32))
  (call $u32 (local.get $errno)))
(func $hex (param $from i32) (param $len i32)
  (call $put (i32.const 32))
  (loop $more
    (call $byte (i32.load8_u (local.get $from)))
    (local.set $from (i32.add (local.get $from) (i32.const 1)))
    (br_if $more (local.tee $len (i32.sub (local.get $len) (i32.const 1))))))
(func $tail
  (call $put (i32.const 10))
  (call $say (i32.const {_LINE}) (i32.sub (global.get $at) (i32.const {_LINE}))))
"""
