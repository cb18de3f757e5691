"""A guest that does what a test tells it: a list of wasi-nn calls, made by one fixed piece of WebAssembly text.

The test lays out the guest's memory (tensor records, model bytes, data) and the calls; the guest gets both on standard
input, makes the calls one after the other, writes each result to standard output and in the end a dump of its memory.
"""

from __future__ import annotations

import os
import struct
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmtime

from lading_agent.runs import supervise
from lading_agent.runs.spec import RunSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading_agent.runs.launch import RunnerCommand
    from lading_agent.runs.result import RunResult

MODELS = Path(__file__).parents[1] / "data" / "models"

PAGES = 8
SIZE = PAGES * 65536
"""Bytes of guest memory at the start."""

SIX: Mapping[str, int] = {
    "load": 5,
    "load_by_name": 3,
    "init_execution_context": 2,
    "set_input": 3,
    "compute": 1,
    "get_output": 5,
}
"""The specification's functions with their numbers of parameters."""

EXTENDED: Mapping[str, int] = {
    **SIX,
    "load_by_name_with_config": 5,
    "compute_single": 1,
    "get_output_single": 5,
    "fini_single": 1,
    "unload": 1,
    "finalize_execution_context": 1,
}

GROW = 255
POKE = 254
_CALLS_AT = 64
_SLOT = 24


def wat(functions: Mapping[str, int], module: str = "wasi_ephemeral_nn") -> str:
    """The guest for a set of functions."""
    imports = "".join(
        f'(import "{module}" "{name}" (func ${name} (param {"i32 " * n}) (result i32)))\n'
        for name, n in functions.items()
    )
    cases = "".join(
        f"(if (i32.eq (local.get $op) (i32.const {number})) (then (local.set $r (call ${name} "
        + " ".join(f"(i32.load offset={4 + 4 * i} (local.get $at))" for i in range(n))
        + "))))\n"
        for number, (name, n) in enumerate(functions.items())
    )
    return f"""(module
{imports}
(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
(memory (export "memory") {PAGES})
(func $tell (param $from i32) (param $len i32)
  (loop $more
    (i32.store (i32.const 32) (local.get $from)) (i32.store (i32.const 36) (local.get $len))
    (if (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 40)) (then (unreachable)))
    (local.set $from (i32.add (local.get $from) (i32.load (i32.const 40))))
    (local.set $len (i32.sub (local.get $len) (i32.load (i32.const 40))))
    (br_if $more (local.get $len))))
(func (export "_start") (local $to i32) (local $at i32) (local $op i32) (local $r i32) (local $n i32)
  (local.set $to (i32.const {_CALLS_AT}))
  (block $end (loop $more
    (i32.store (i32.const 32) (local.get $to))
    (i32.store (i32.const 36) (i32.sub (i32.const {SIZE}) (local.get $to)))
    (if (call $read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)) (then (unreachable)))
    (br_if $end (i32.eqz (i32.load (i32.const 40))))
    (local.set $to (i32.add (local.get $to) (i32.load (i32.const 40))))
    (br_if $more (i32.lt_u (local.get $to) (i32.const {SIZE})))))
  (local.set $n (i32.load (i32.const {_CALLS_AT})))
  (local.set $at (i32.const {_CALLS_AT + 8}))
  (block $end (loop $more
    (br_if $end (i32.eqz (local.get $n)))
    (local.set $op (i32.load (local.get $at)))
    (local.set $r (i32.const -1))
    {cases}
    (if (i32.eq (local.get $op) (i32.const {GROW}))
      (then (local.set $r (memory.grow (i32.load offset=4 (local.get $at))))))
    (if (i32.eq (local.get $op) (i32.const {POKE}))
      (then (i32.store (i32.load offset=4 (local.get $at)) (i32.load offset=8 (local.get $at)))
            (local.set $r (i32.const 0))))
    (i32.store (i32.const 48) (local.get $r))
    (call $tell (i32.const 48) (i32.const 4))
    (local.set $at (i32.add (local.get $at) (i32.const {_SLOT})))
    (local.set $n (i32.sub (local.get $n) (i32.const 1)))
    (br $more)))
  (call $tell (i32.const 0) (i32.const {SIZE}))))
"""


@dataclass
class Outcome:
    """What came of a run."""

    result: RunResult
    errnos: list[int]
    """One result for each call that returned."""
    memory: bytes
    """The guest's first memory pages at its end; empty when it did not get there."""
    events: list[dict[str, Any]]
    stderr: bytes

    def logs(self) -> str:
        """The host's log lines as one text."""
        return "\n".join(e["text"] for e in self.events if e["event"] == "log" and e["level"] == "error")

    def u32(self, at: int) -> int:
        """A number in the guest's memory."""
        return int(struct.unpack_from("<I", self.memory, at)[0])

    def floats(self, at: int, count: int) -> tuple[float, ...]:
        """f32 numbers in the guest's memory."""
        return struct.unpack_from(f"<{count}f", self.memory, at)


@dataclass
class Script:
    """Lays out memory and calls."""

    functions: Mapping[str, int] = field(default_factory=lambda: EXTENDED)
    module: str = "wasi_ephemeral_nn"
    calls: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    free: int = 65536

    def put(self, data: bytes, align: int = 8) -> int:
        """Lay bytes into memory; returns where."""
        at = -(-self.free // align) * align
        self.free = at + len(data)
        assert self.free <= SIZE, "the guest's memory is too small for this test"
        self.pieces.append((at, data))
        return at

    def space(self, size: int) -> int:
        """Room for an output, prefilled with 0xCC."""
        return self.put(b"\xcc" * size)

    def call(self, function: str, *args: int) -> int:
        """Add a call; returns its position among the results."""
        number = list(self.functions).index(function)
        self.calls.append((number, tuple(a & 0xFFFFFFFF for a in args)))
        return len(self.calls) - 1

    def grow(self, pages: int) -> None:
        """Let the guest grow its memory."""
        self.calls.append((GROW, (pages,)))

    def poke(self, at: int, value: int) -> None:
        """Let the guest store a number into its own memory."""
        self.calls.append((POKE, (at, value & 0xFFFFFFFF)))

    def tensor(
        self,
        dims: Sequence[int],
        code: int,
        data: bytes,
        *,
        padding: bytes = b"\xff\xaa\x55",
        length: int | None = None,
    ) -> int:
        """A tensor record (its padding dirty) with its dimensions and data."""
        dims_at = self.put(struct.pack(f"<{len(dims)}I", *dims))
        data_at = self.put(data)
        record = struct.pack("<IIB", dims_at, len(dims), code) + padding
        return self.put(record + struct.pack("<II", data_at, len(data) if length is None else length))

    def load(self, model: bytes, encoding: int = 4, target: int = 0) -> int:
        """Call ``load`` with one builder; returns where the handle goes."""
        handle = self.put(b"\xee" * 4)
        builder = self.put(struct.pack("<II", self.put(model), len(model)))
        self.call("load", builder, 1, encoding, target, handle)
        return handle

    def load_by_name(self, name: bytes) -> int:
        """Call ``load_by_name``; returns where the handle goes."""
        handle = self.put(b"\xee" * 4)
        self.call("load_by_name", self.put(name), len(name), handle)
        return handle

    def init(self, graph: int = 0) -> int:
        """Call ``init_execution_context``; returns where the handle goes."""
        handle = self.put(b"\xee" * 4)
        self.call("init_execution_context", graph, handle)
        return handle

    def output(self, size: int, *, index: int = 0, context: int = 0, function: str = "get_output") -> tuple[int, int]:
        """Call ``get_output`` with room for ``size`` bytes; returns where data and size go."""
        at, written = self.space(size + 16), self.put(b"\xee" * 4)
        self.call(function, context, index, at, size, written)
        return at, written

    def image(self) -> bytes:
        """What the guest reads on standard input."""
        calls = b"".join(struct.pack("<6I", op, *args, *([0] * (5 - len(args)))) for op, args in self.calls)
        assert _CALLS_AT + 8 + len(calls) <= 65536, "too many calls"
        image = bytearray(self.free - _CALLS_AT)
        struct.pack_into("<II", image, 0, len(self.calls), 0)
        image[8 : 8 + len(calls)] = calls
        for at, data in self.pieces:
            image[at - _CALLS_AT : at - _CALLS_AT + len(data)] = data
        return bytes(image)

    def run(
        self, tmp_path: Path, personality: Mapping[str, Any], *, command: RunnerCommand | None = None, **spec: Any
    ) -> Outcome:
        """Run the guest in a runner process of its own (``command``: another runner than the Python host here)."""
        module = tmp_path / "script.wasm"
        module.write_bytes(wasmtime.wat2wasm(wat(self.functions, self.module)))
        outcome = run(RunSpec(module=str(module), personality=personality, **spec), stdin=self.image(), command=command)
        stdout, count = outcome.memory, len(self.calls)
        told = min(len(stdout) // 4, count)
        errnos = [int(n) for n in struct.unpack_from(f"<{told}i", stdout)]
        return replace(outcome, errnos=errnos, memory=stdout[4 * count :])


def run(spec: RunSpec, *, stdin: bytes = b"", command: RunnerCommand | None = None) -> Outcome:
    """One run in a runner process; ``memory`` holds the guest's standard output."""
    stdout, stderr, events = bytearray(), bytearray(), list[dict[str, Any]]()
    with tempfile.TemporaryFile() as file:
        file.write(stdin)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        result = supervise.run(
            spec,
            stdin=file.fileno(),
            on_stdout=stdout.extend,
            on_stderr=stderr.extend,
            on_report=events.append,
            command=command,
        )
    return Outcome(result, [], bytes(stdout), events, bytes(stderr))


def run_wat(text: str, tmp_path: Path, personality: Mapping[str, Any], **spec: Any) -> Outcome:
    """A guest from WebAssembly text."""
    module = tmp_path / "guest.wasm"
    module.write_bytes(wasmtime.wat2wasm(text))
    return run(RunSpec(module=str(module), personality=personality, **spec))


def model(name: str) -> bytes:
    """One of the test models."""
    return (MODELS / f"{name}.tflite").read_bytes()
