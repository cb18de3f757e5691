"""Guests that look at an errno and do something else: written as WebAssembly text around one model's first input."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import wasmtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading_agent.nn.facts import ModelFacts

HANDLE, SIZE, DIMS, RECORDS, DATA, OUTPUT, MODEL = 0, 8, 64, 256, 4096, 32768, 131072
_ROOM = OUTPUT - DATA

FUNCTIONS = {
    "load": 5,
    "init_execution_context": 2,
    "set_input": 3,
    "compute": 1,
    "get_output": 5,
    "unload": 1,
    "finalize_execution_context": 1,
}


def _escaped(data: bytes) -> str:
    return "".join(f"\\{b:02x}" for b in data)


class Builder:
    """Lays out a module with one model and several tensor records for its first input."""

    def __init__(self, model: bytes, facts: ModelFacts) -> None:
        self.model = model
        self.tensor = facts.inputs[0]
        self.records: list[bytes] = []

    def record(self, code: int, length: int | None = None) -> int:
        """A tensor record; ``length`` is the tensor's own when it is not given."""
        shape = self.tensor.shape
        size = min(self.tensor.nbytes if length is None else length, _ROOM)
        self.records.append(struct.pack("<IIB", DIMS, len(shape), code) + b"\0\0\0" + struct.pack("<II", DATA, size))
        return RECORDS + 20 * (len(self.records) - 1)

    def floats(self) -> int:
        """A record of f32."""
        return self.record(1, 4 * self.tensor.count)

    def module(self, body: str, functions: Sequence[str]) -> bytes:
        """``body`` is what happens after ``load``; ``$e`` is an errno, ``$n`` a number."""
        shape = self.tensor.shape
        imports = "".join(
            f'(import "wasi_ephemeral_nn" "{f}" (func ${f} (param {"i32 " * FUNCTIONS[f]}) (result i32)))\n'
            for f in functions
        )
        pages = (MODEL + len(self.model)) // 65536 + 1
        return bytes(
            wasmtime.wat2wasm(
                f"""(module {imports}
                  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                  (memory (export "memory") {pages})
                  (data (i32.const {DIMS}) "{_escaped(struct.pack(f"<{len(shape)}I", *shape))}")
                  (data (i32.const {RECORDS}) "{_escaped(b"".join(self.records))}")
                  (data (i32.const 32) "{_escaped(struct.pack("<II", MODEL, len(self.model)))}")
                  (data (i32.const {MODEL}) "{_escaped(self.model)}")
                  (func (export "_start") (local $e i32) (local $n i32) {body}))"""
            )
        )


LOAD = """(local.set $e (call $load (i32.const 32) (i32.const 1) (i32.const 4) (i32.const 0) (i32.const 0)))
  (if (local.get $e) (then (call $exit (i32.add (i32.const 10) (local.get $e)))))
  (local.set $e (call $init_execution_context (i32.load (i32.const 0)) (i32.const 4)))
  (if (local.get $e) (then (call $exit (i32.add (i32.const 20) (local.get $e)))))"""


def _set(record: int) -> str:
    return f"(local.set $e (call $set_input (i32.load (i32.const 4)) (i32.const 0) (i32.const {record})))"


REST = f"""(local.set $e (call $compute (i32.load (i32.const 4))))
  (if (local.get $e) (then (call $exit (i32.add (i32.const 40) (local.get $e)))))
  (local.set $e (call $get_output (i32.load (i32.const 4)) (i32.const 0) (i32.const {OUTPUT}) (i32.const 65536)
                      (i32.const {SIZE})))
  (if (local.get $e) (then (call $exit (i32.add (i32.const 50) (local.get $e)))))"""

_FIVE = ("load", "init_execution_context", "set_input", "compute", "get_output")


def retries_types(model: bytes, facts: ModelFacts) -> bytes:
    """Tries u8 = 2, u8 = 3, u8 = 4 and f32 in turn, and goes on with the first that is taken."""
    b = Builder(model, facts)
    tries = [b.record(2), b.record(3), b.record(4), b.floats()]
    body = LOAD + _set(tries[0]) + "".join(f"(if (local.get $e) (then {_set(t)}))" for t in tries[1:])
    return b.module(
        body + "(if (local.get $e) (then (call $exit (i32.add (i32.const 30) (local.get $e)))))" + REST, _FIVE
    )


def retries_from_floats(model: bytes, facts: ModelFacts) -> bytes:
    """Tries f32 and then u8 of today."""
    b = Builder(model, facts)
    first, second = b.floats(), b.record(3)
    return b.module(LOAD + _set(first) + f"(if (local.get $e) (then {_set(second)}))" + REST, _FIVE)


def grows_its_buffer(model: bytes, facts: ModelFacts) -> bytes:
    """Asks for the output with 1 byte of room, and doubles it as long as that is refused."""
    b = Builder(model, facts)
    floats = facts.inputs[0].dtype == "float32"
    body = f"""{LOAD}{_set(b.record(1) if floats else b.record(3))}
      (local.set $e (call $compute (i32.load (i32.const 4))))
      (if (local.get $e) (then (call $exit (i32.add (i32.const 40) (local.get $e)))))
      (local.set $n (i32.const 1))
      (block $done (loop $more
        (local.set $e (call $get_output (i32.load (i32.const 4)) (i32.const 0) (i32.const {OUTPUT}) (local.get $n)
                            (i32.const {SIZE})))
        (br_if $done (i32.eqz (local.get $e)))
        (local.set $n (i32.shl (local.get $n) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $n) (i32.const 65536)))
        (call $exit (i32.add (i32.const 50) (local.get $e)))))"""
    return b.module(body, _FIVE)


def grows_on_too_large(model: bytes, facts: ModelFacts) -> bytes:
    """Asks for the output without room, and grows to what it is told, but only when the errno is 7."""
    b = Builder(model, facts)
    floats = facts.inputs[0].dtype == "float32"
    body = f"""{LOAD}{_set(b.record(1) if floats else b.record(3))}
      (drop (call $compute (i32.load (i32.const 4))))
      (local.set $e (call $get_output (i32.load (i32.const 4)) (i32.const 0) (i32.const {OUTPUT}) (i32.const 0)
                          (i32.const {SIZE})))
      (if (i32.ne (local.get $e) (i32.const 7)) (then (call $exit (local.get $e))))
      {REST}"""
    return b.module(body, _FIVE)


def falls_back_to_tflite(model: bytes, facts: ModelFacts) -> bytes:
    """Tries autodetect on the GPU, then on the CPU, then TFLite."""
    b = Builder(model, facts)
    record = b.floats() if facts.inputs[0].dtype == "float32" else b.record(3)
    load = "(local.set $e (call $load (i32.const 32) (i32.const 1) (i32.const {}) (i32.const {}) (i32.const 0)))"
    body = f"""{load.format(5, 1)}
      (if (local.get $e) (then {load.format(5, 0)}))
      (if (local.get $e) (then {load.format(4, 0)}))
      (if (local.get $e) (then (call $exit (i32.add (i32.const 10) (local.get $e)))))
      (local.set $e (call $init_execution_context (i32.load (i32.const 0)) (i32.const 4)))
      (if (local.get $e) (then (call $exit (i32.add (i32.const 20) (local.get $e)))))
      {_set(record)} (if (local.get $e) (then (call $exit (i32.add (i32.const 30) (local.get $e))))) {REST}"""
    return b.module(body, _FIVE)


def lets_go_and_begins_again(model: bytes, facts: ModelFacts) -> bytes:
    """Finalizes its context and unloads its graph, three times; an errno of the two is of no interest to it."""
    b = Builder(model, facts)
    record = b.floats() if facts.inputs[0].dtype == "float32" else b.record(3)
    body = f"""(local.set $n (i32.const 3))
      (loop $more {LOAD}{_set(record)}{REST}
        (drop (call $finalize_execution_context (i32.load (i32.const 4))))
        (drop (call $unload (i32.load (i32.const 0))))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $more (local.get $n)))"""
    return b.module(body, tuple(FUNCTIONS))


def hoards(model: bytes, facts: ModelFacts) -> bytes:
    """Makes contexts until one is refused, at most 80."""
    b = Builder(model, facts)
    body = f"""{LOAD}
      (local.set $n (i32.const 80))
      (block $done (loop $more
        (br_if $done (call $init_execution_context (i32.load (i32.const 0)) (i32.const 4)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br_if $more (local.get $n))))"""
    return b.module(body, ("load", "init_execution_context"))
