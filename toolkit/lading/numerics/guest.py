"""A small guest that runs one model: inputs come on standard input, outputs go to standard output, as raw bytes.

Standard input is a sequence of vectors, each the bytes of all inputs in the model's order. For each vector the guest
writes one frame an output, little-endian: ``index`` u32, ``length`` u32, then so many bytes. When a call is refused it
writes ``0x80000000 | call`` (an index into :data:`CALLS`) and the errno in place of the length, and ends with status 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading_agent.nn.facts import ModelFacts, TensorFacts

MODULE: Final = "wasi_ephemeral_nn"
CALLS: Final = ("load_by_name", "init_execution_context", "set_input", "compute", "get_output")
REFUSED: Final = 0x80000000
OPEN_BYTES: Final = 1024 * 1024
"""Room for an output whose size only the model's own data tell."""
MOST_BYTES: Final = 1024 * 1024 * 1024
_NAMES: Final = {
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "uint8": "u8",
    "int8": "u8",
    "int32": "i32",
    "int64": "i64",
}
"""How wasi-nn calls a tensor's element type; int8 passes as the bytes it consists of."""
_PAGE: Final = 65536


@dataclass(frozen=True)
class Refusal:
    """A wasi-nn call that the device refused."""

    call: str
    errno: int


@dataclass(frozen=True)
class OutputFrame:
    """One output of one vector."""

    index: int
    data: bytes


def assemble(reference: str, facts: ModelFacts, abi: Mapping[str, Any]) -> bytes:
    """The guest for one model, in binary form.

    Args:
        reference: the name that ``load_by_name`` is given.
        facts: what the model is made of.
        abi: the ``abi`` table of the firmware profile under which it will run.

    Raises:
        Unsupported: that firmware has no name for a tensor's type, or another ABI.
    """
    import wasmtime

    return bytes(wasmtime.wat2wasm(text(reference, facts, abi)))


def text(reference: str, facts: ModelFacts, abi: Mapping[str, Any]) -> str:
    """The guest as WebAssembly text."""
    if abi.get("layout") != "witx" or MODULE not in abi.get("modules", ()):
        raise Unsupported(
            "the device's firmware speaks an older wasi-nn, for which there is no guest that runs a bare model",
            remedy="compare on a device whose firmware has wasi_ephemeral_nn",
        )
    numbers = abi.get("tensor_types") or {}
    place = _Places()
    name = place.put(reference.encode())
    reads, sets, gets = [], [], []
    for index, tensor in enumerate(facts.inputs):
        number = numbers.get(_NAMES.get(tensor.dtype, ""))
        if number is None:
            raise Unsupported(
                f"input '{tensor.name}' is {tensor.dtype}, a type that wasi-nn has no number for on this firmware",
                remedy="convert the model to one with float32, int32, uint8 or int8 inputs",
            )
        dims = place.put(struct.pack(f"<{len(tensor.shape)}I", *tensor.shape))
        data = place.keep(tensor.nbytes)
        struct_at = place.put(struct.pack("<IIBxxxII", dims, len(tensor.shape), number, data, tensor.nbytes))
        if tensor.nbytes:
            reads.append(f"(br_if $end (i32.eqz (call $fill (i32.const {data}) (i32.const {tensor.nbytes}))))")
        sets.append(_call(2, f"$set_input (i32.load (i32.const 32)) (i32.const {index}) (i32.const {struct_at})"))
    room = place.keep(max([_room(t) for t in facts.outputs], default=0))
    for index, tensor in enumerate(facts.outputs):
        words = f"(i32.const {index}) (i32.const {room}) (i32.const {_room(tensor)}) (i32.const 36)"
        gets.append(_call(4, f"$get_output (i32.load (i32.const 32)) {words}"))
        gets.append(f"(call $frame (i32.const {index}) (i32.const {room}) (i32.load (i32.const 36)))")
    if place.at > MOST_BYTES:
        raise Unsupported(f"the tensors take {place.at} bytes together", remedy="use a smaller model")
    again = "(br $next)" if reads else ""
    return "\n".join(
        [
            "(module",
            f'(import "{MODULE}" "load_by_name" (func $load_by_name (param i32 i32 i32) (result i32)))',
            f'(import "{MODULE}" "init_execution_context" (func $init (param i32 i32) (result i32)))',
            f'(import "{MODULE}" "set_input" (func $set_input (param i32 i32 i32) (result i32)))',
            f'(import "{MODULE}" "compute" (func $compute (param i32) (result i32)))',
            f'(import "{MODULE}" "get_output" (func $get_output (param i32 i32 i32 i32 i32) (result i32)))',
            _WASI,
            f'(memory (export "memory") {-(-place.at // _PAGE)})',
            *place.data,
            _HELPERS,
            '(func (export "_start") (local $errno i32)',
            _call(0, f"$load_by_name (i32.const {name}) (i32.const {len(reference.encode())}) (i32.const 28)"),
            _call(1, "$init (i32.load (i32.const 28)) (i32.const 32)"),
            "(block $end (loop $next",
            *reads,
            *sets,
            _call(3, "$compute (i32.load (i32.const 32))"),
            *gets,
            f"{again}))))",
        ]
    )


def read_frames(output: bytes) -> Iterator[OutputFrame | Refusal]:
    """What the guest wrote; a frame that was cut off is left out."""
    at = 0
    while at + 8 <= len(output):
        index, length = struct.unpack_from("<II", output, at)
        at += 8
        if index & REFUSED:
            number = index & ~REFUSED
            yield Refusal(CALLS[number] if number < len(CALLS) else str(number), length)
            return
        if at + length > len(output):
            return
        yield OutputFrame(index, output[at : at + length])
        at += length


def stdin_of(vectors: Sequence[Sequence[bytes]]) -> bytes:
    """Standard input for the guest: of each vector the inputs' bytes, in the model's order."""
    return b"".join(data for vector in vectors for data in vector)


class _Places:
    """Lays out the guest's memory."""

    def __init__(self) -> None:
        self.at = 64
        self.data: list[str] = []

    def keep(self, size: int) -> int:
        """Room for ``size`` bytes."""
        at = -(-self.at // 16) * 16
        self.at = at + size
        return at

    def put(self, data: bytes) -> int:
        """Bytes that are there from the beginning."""
        at = self.keep(len(data))
        if data:
            self.data.append(f'(data (i32.const {at}) "{"".join(f"{chr(92)}{byte:02x}" for byte in data)}")')
        return at


def _room(tensor: TensorFacts) -> int:
    return max(tensor.nbytes, OPEN_BYTES) if tensor.by_data else tensor.nbytes


def _call(number: int, words: str) -> str:
    refused = f"(call $refuse (i32.const {number}) (local.get $errno))"
    return f"(if (local.tee $errno (call {words})) (then {refused}))"


_WASI: Final = """
(import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"""

_HELPERS: Final = f"""
(func $fill (param $to i32) (param $left i32) (result i32)
  (loop $more
    (i32.store (i32.const 16) (local.get $to)) (i32.store (i32.const 20) (local.get $left))
    (if (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)) (then (unreachable)))
    (if (i32.eqz (i32.load (i32.const 24))) (then (return (i32.const 0))))
    (local.set $to (i32.add (local.get $to) (i32.load (i32.const 24))))
    (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 24))))
    (br_if $more (local.get $left)))
  (i32.const 1))
(func $say (param $from i32) (param $left i32)
  (block $done (loop $more
    (br_if $done (i32.eqz (local.get $left)))
    (i32.store (i32.const 16) (local.get $from)) (i32.store (i32.const 20) (local.get $left))
    (if (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)) (then (unreachable)))
    (local.set $from (i32.add (local.get $from) (i32.load (i32.const 24))))
    (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 24))))
    (br $more))))
(func $frame (param $index i32) (param $from i32) (param $length i32)
  (i32.store (i32.const 40) (local.get $index)) (i32.store (i32.const 44) (local.get $length))
  (call $say (i32.const 40) (i32.const 8))
  (call $say (local.get $from) (local.get $length)))
(func $refuse (param $call i32) (param $errno i32)
  (i32.store (i32.const 40) (i32.or (i32.const {REFUSED - 2**32}) (local.get $call)))
  (i32.store (i32.const 44) (local.get $errno))
  (call $say (i32.const 40) (i32.const 8))
  (call $exit (i32.const 1)))
"""
