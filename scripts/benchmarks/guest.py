"""A guest that times set_input + compute + get_output with its own clock and prints nanoseconds as raw u64."""

from __future__ import annotations


def timing_guest(dims: list[int], input_bytes: int, output_bytes: int, rounds: int, *, tensor_type: int = 1) -> bytes:
    """A WASI module that loads the model named ``m`` and runs ``rounds`` cycles.

    Args:
        dims: the input's shape.
        input_bytes: its octets.
        output_bytes: room for the output, in octets.
        rounds: cycles; each gives one u64 of nanoseconds on standard output.
        tensor_type: the input's code in the WITX numbering; 1 is f32.
    """
    import wasmtime

    dims_at, tensor_at, input_at = 64, 128, 65536
    output_at = input_at + (input_bytes + 15) // 16 * 16
    times_at = output_at + (output_bytes + 15) // 16 * 16
    pages = (times_at + rounds * 8) // 65536 + 1

    def data(at: int, *words: int) -> str:
        text = "".join(f"\\{octet:02x}" for word in words for octet in word.to_bytes(4, "little"))
        return f'(data (i32.const {at}) "{text}")'

    module = f"""(module
      (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
      (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
      (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
      (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
      (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") {pages})
      (data (i32.const 16) "m")
      {data(dims_at, *dims)}
      {data(tensor_at, dims_at, len(dims), tensor_type, input_at, input_bytes)}
      {data(48, times_at, rounds * 8)}
      (func $must (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
      (func $now (result i64)
        (drop (call $clock (i32.const 1) (i64.const 1) (i32.const 32)))
        (i64.load (i32.const 32)))
      (func (export "_start") (local $i i32) (local $t i64) (local $ctx i32)
        (call $must (call $load (i32.const 16) (i32.const 1) (i32.const 20)))
        (call $must (call $init (i32.load (i32.const 20)) (i32.const 24)))
        (local.set $ctx (i32.load (i32.const 24)))
        (loop $again
          (local.set $t (call $now))
          (call $must (call $set (local.get $ctx) (i32.const 0) (i32.const {tensor_at})))
          (call $must (call $compute (local.get $ctx)))
          (call $must (call $get (local.get $ctx) (i32.const 0) (i32.const {output_at})
            (i32.const {output_bytes}) (i32.const 28)))
          (i64.store
            (i32.add (i32.const {times_at}) (i32.mul (local.get $i) (i32.const 8)))
            (i64.sub (call $now) (local.get $t)))
          (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if $again (i32.lt_u (local.get $i) (i32.const {rounds}))))
        (call $must (call $write (i32.const 1) (i32.const 48) (i32.const 1) (i32.const 56)))))"""
    return bytes(wasmtime.wat2wasm(module))
