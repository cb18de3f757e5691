"""The small inference that proves engines on a device: a guest, a model, and the bytes that it has to write."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

VALUES: Final = (1.0, -2.5, 3.25, 1024.0)
"""What goes in. The model multiplies by the unit matrix: exactly the same must come out, on every processor."""
MODEL: Final = "fully_connected_v12"

_NAME: Final = b"check"
_TENSOR, _DIMS, _DATA, _OUT, _IOVEC = 64, 96, 128, 192, 256
_GUEST: Final = f"""
(module
  (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "{_NAME.decode()}")
  (data (i32.const {_TENSOR}) "%TENSOR%")
  (data (i32.const {_DIMS}) "%DIMS%")
  (data (i32.const {_DATA}) "%DATA%")
  (data (i32.const {_IOVEC}) "%IOVEC%")
  (func $must (param i32 i32)
    (if (local.get 1) (then (call $exit (i32.add (local.get 0) (local.get 1))))))
  (func (export "_start")
    (call $must (i32.const 10) (call $load (i32.const 0) (i32.const {len(_NAME)}) (i32.const 16)))
    (call $must (i32.const 30) (call $init (i32.load (i32.const 16)) (i32.const 20)))
    (call $must (i32.const 50) (call $set (i32.load (i32.const 20)) (i32.const 0) (i32.const {_TENSOR})))
    (call $must (i32.const 70) (call $compute (i32.load (i32.const 20))))
    (call $must (i32.const 90)
      (call $get (i32.load (i32.const 20)) (i32.const 0) (i32.const {_OUT}) (i32.const 16) (i32.const 24)))
    (call $must (i32.const 110) (i32.ne (i32.load (i32.const 24)) (i32.const 16)))
    (call $must (i32.const 130) (call $write (i32.const 1) (i32.const {_IOVEC}) (i32.const 1) (i32.const 28)))))
"""


@dataclass(frozen=True)
class Check:
    """What the agent runs on new engines. The guest loads the model by the name ``check``."""

    module: bytes
    model: bytes
    expected: bytes
    """What the guest writes to standard output."""


def make_check(f32: int) -> Check:
    """The check.

    Args:
        f32: the number that means f32 among the device's tensor types.
    """
    import wasmtime

    from lading.probe.models import model

    data = struct.pack("<4f", *VALUES)
    pieces = {
        "%TENSOR%": struct.pack("<IIBxxxII", _DIMS, 2, f32, _DATA, len(data)),
        "%DIMS%": struct.pack("<2I", 1, 4),
        "%DATA%": data,
        "%IOVEC%": struct.pack("<2I", _OUT, len(data)),
    }
    text = _GUEST
    for mark, piece in pieces.items():
        text = text.replace(mark, "".join(f"\\{byte:02x}" for byte in piece))
    return Check(bytes(wasmtime.wat2wasm(text)), model(MODEL), data)
