"""Guests of a few instructions, one deed each: what they do is in their names."""

from __future__ import annotations

import functools
from typing import Final

WASI: Final = "wasi_snapshot_preview1"
NN: Final = "wasi_ephemeral_nn"

_IMPORTS: Final = {
    "exit": (WASI, "proc_exit", "(param i32)"),
    "write": (WASI, "fd_write", "(param i32 i32 i32 i32) (result i32)"),
    "read": (WASI, "fd_read", "(param i32 i32 i32 i32) (result i32)"),
    "open": (WASI, "path_open", "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)"),
    "args_sizes": (WASI, "args_sizes_get", "(param i32 i32) (result i32)"),
    "args": (WASI, "args_get", "(param i32 i32) (result i32)"),
    "load": (NN, "load_by_name", "(param i32 i32 i32) (result i32)"),
    "init": (NN, "init_execution_context", "(param i32 i32) (result i32)"),
    "set_input": (NN, "set_input", "(param i32 i32 i32) (result i32)"),
    "compute": (NN, "compute", "(param i32) (result i32)"),
    "get_output": (NN, "get_output", "(param i32 i32 i32 i32 i32) (result i32)"),
}


@functools.cache
def guest(body: str, *, data: tuple[tuple[int, bytes], ...] = (), memory: int = 2, locals_: str = "") -> bytes:
    """A module: ``body`` is its ``_start``, ``data`` lies in its memory. Only what is used is imported."""
    import wasmtime

    imports = "".join(
        f'(import "{module}" "{name}" (func ${short} {kind}))\n'
        for short, (module, name, kind) in _IMPORTS.items()
        if f"${short} " in body or f"${short}\n" in body
    )
    segments = "".join(f'(data (i32.const {at}) "{_escaped(content)}")\n' for at, content in data)
    text = (
        f'(module {imports} (memory (export "memory") {memory}) {segments} (func (export "_start") {locals_} {body}))'
    )
    return bytes(wasmtime.wat2wasm(text))


def _escaped(content: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in content)


def says(text: str, status: int = 0) -> bytes:
    """Writes a text and exits."""
    content = text.encode()
    body = f"""(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {len(content)}))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $exit (i32.const {status}))"""
    return guest(body, data=((64, content),))


def exits(status: int) -> bytes:
    """Exits with a status."""
    return guest(f"(call $exit (i32.const {status}))")


def traps() -> bytes:
    """Reaches what must not be reached."""
    return guest("unreachable")


def spins() -> bytes:
    """Loops inside wasm."""
    return guest("(loop $again (br $again))")


def says_and_spins(text: str) -> bytes:
    """Writes a text, then loops."""
    content = text.encode()
    body = f"""(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const {len(content)}))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (loop $again (br $again))"""
    return guest(body, data=((64, content),))


def allocates() -> bytes:
    """Asks for more memory without end, and touches it; where there is none it gives up, as C's ``abort`` does."""
    return guest(
        """(loop $more
             (local.set $at (memory.grow (i32.const 256)))
             (if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))
             (memory.fill (i32.shl (local.get $at) (i32.const 16)) (i32.const 1) (i32.const 16777216))
             (br $more))""",
        locals_="(local $at i32)",
    )


def allocates_and_never_listens() -> bytes:
    """Asks for more memory without end, whatever it is told."""
    return guest("(loop $more (drop (memory.grow (i32.const 256))) (br $more))")


def floods() -> bytes:
    """Writes without end."""
    return guest(
        """(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 65536))
           (loop $more
             (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
             (br $more))"""
    )


def echoes() -> bytes:
    """Copies standard input to standard output, to its end."""
    return guest(
        """(i32.store (i32.const 0) (i32.const 64))
           (loop $more
             (i32.store (i32.const 4) (i32.const 4096))
             (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 9))))
             (if (i32.load (i32.const 8)) (then
               (i32.store (i32.const 4) (i32.load (i32.const 8)))
               (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
               (br $more))))"""
    )


def tells_its_arguments() -> bytes:
    """Writes its arguments (the first is the program's name), each with a NUL after it."""
    return guest(
        """(drop (call $args_sizes (i32.const 16) (i32.const 20)))
           (drop (call $args (i32.const 65536) (i32.const 1024)))
           (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.load (i32.const 20)))
           (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))""",
    )


def writes_a_file(name: str, content: str) -> bytes:
    """Makes a file in its first directory; exits with the errno of the first call that fails."""
    path, text = name.encode(), content.encode()
    body = f"""(local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const {len(path)})
        (i32.const 9) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
      (if (local.get $errno) (then (call $exit (local.get $errno))))
      (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const {len(text)}))
      (local.set $errno (call $write (i32.load (i32.const 16)) (i32.const 0) (i32.const 1) (i32.const 8)))
      (call $exit (local.get $errno))"""
    return guest(body, data=((64, path), (1024, text)), locals_="(local $errno i32)")


def opens_without_end(name: str) -> bytes:
    """Opens a file of its first directory again and again; exits with the errno of the first failure."""
    path = name.encode()
    body = f"""(loop $more
      (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const {len(path)})
        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
      (br_if $more (i32.eqz (local.get $errno))))
      (call $exit (local.get $errno))"""
    return guest(body, data=((64, path),), locals_="(local $errno i32)")


def infers(model: str, shape: tuple[int, ...] = (), *, code: int = 1, content: bytes = b"") -> bytes:
    """Loads a named model, makes a context, sets input 0 to a tensor of ``content`` if there is any, computes.

    Exits with 10 × the number of the call that failed + its errno, or 0.
    """
    name = model.encode()
    dims = b"".join(extent.to_bytes(4, "little") for extent in shape)
    record = b"".join(number.to_bytes(4, "little") for number in (2048, len(shape), code, 4096, len(content)))
    given = (
        """(local.set $errno (call $set_input (i32.load (i32.const 20)) (i32.const 0) (i32.const 1024)))
           (if (local.get $errno) (then (call $exit (i32.add (i32.const 30) (local.get $errno)))))"""
        if content
        else ""
    )
    body = f"""(local.set $errno (call $load (i32.const 64) (i32.const {len(name)}) (i32.const 16)))
      (if (local.get $errno) (then (call $exit (i32.add (i32.const 10) (local.get $errno)))))
      (local.set $errno (call $init (i32.load (i32.const 16)) (i32.const 20)))
      (if (local.get $errno) (then (call $exit (i32.add (i32.const 20) (local.get $errno)))))
      {given}
      (local.set $errno (call $compute (i32.load (i32.const 20))))
      (if (local.get $errno) (then (call $exit (i32.add (i32.const 40) (local.get $errno)))))"""
    return guest(body, data=((64, name), (1024, record), (2048, dims), (4096, content)), locals_="(local $errno i32)")


def infers_for_ever(model: str) -> bytes:
    """Loads a named model with one context, then computes and reads output 0 without end."""
    name = model.encode()
    body = f"""(drop (call $load (i32.const 64) (i32.const {len(name)}) (i32.const 16)))
      (drop (call $init (i32.load (i32.const 16)) (i32.const 20)))
      (loop $again
        (drop (call $compute (i32.load (i32.const 20))))
        (drop (call $get_output (i32.load (i32.const 20)) (i32.const 0) (i32.const 4096) (i32.const 4096)
          (i32.const 24)))
        (br $again))"""
    return guest(body, data=((64, name),))


def hoards_contexts(model: str) -> bytes:
    """Makes execution contexts until one is refused; exits with that errno."""
    name = model.encode()
    body = f"""(if (call $load (i32.const 64) (i32.const {len(name)}) (i32.const 16))
        (then (call $exit (i32.const 99))))
      (loop $more
        (local.set $errno (call $init (i32.load (i32.const 16)) (i32.const 20)))
        (br_if $more (i32.eqz (local.get $errno))))
      (call $exit (local.get $errno))"""
    return guest(body, data=((64, name),), locals_="(local $errno i32)")


def hoards_graphs(model: str) -> bytes:
    """Loads a model until it is refused; exits with that errno."""
    name = model.encode()
    body = f"""(loop $more
        (local.set $errno (call $load (i32.const 64) (i32.const {len(name)}) (i32.const 16)))
        (br_if $more (i32.eqz (local.get $errno))))
      (call $exit (local.get $errno))"""
    return guest(body, data=((64, name),), locals_="(local $errno i32)")
