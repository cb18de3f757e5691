"""How guests end: by themselves, by a trap, by a limit, or before they began."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.runs.spec import MIB, DirSpec, GoldenSpec, Limits, ModelSpec, RunSpec
from tests.support import made_models
from tests.support.script_guest import MODELS, run, run_wat

if TYPE_CHECKING:
    from pathlib import Path

NN = "wasi_ephemeral_nn"
WASI = "wasi_snapshot_preview1"


def exits(code: str) -> str:
    return (
        f'(module (import "{WASI}" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)'
        f' (func (export "_start") {code}))'
    )


@pytest.mark.parametrize(
    ("code", "status"), [(0, 0), (1, 1), (99, 99), (125, 125), (200, 200), (255, 255), (256, 0), (511, 255)]
)
def test_the_guest_s_own_status(tmp_path: Path, litert: dict[str, Any], code: int, status: int) -> None:
    ran = run_wat(exits(f"(call $exit (i32.const {code}))"), tmp_path, litert)
    assert (ran.result.outcome, ran.result.kind, ran.result.status) == ("exit", "exit", status)


def test_returning_is_success(tmp_path: Path, litert: dict[str, Any]) -> None:
    assert run_wat(exits("nop"), tmp_path, litert).result.status == 0


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("unreachable", "unreachable"),
        ("(drop (i32.load (i32.const 65536)))", "out of bounds"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "divide by zero"),
    ],
)
def test_a_trap_is_named(tmp_path: Path, litert: dict[str, Any], code: str, word: str) -> None:
    result = run_wat(exits(code), tmp_path, litert).result
    assert (result.outcome, result.kind, result.status) == ("trap", "trap", 134)
    assert word in result.message


def test_endless_recursion_is_a_trap(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = '(module (memory (export "memory") 1) (func $f (call $f)) (func (export "_start") (call $f)))'
    assert run_wat(text, tmp_path, litert).result.kind == "trap"


@pytest.mark.parametrize(
    ("data", "kind", "word"),
    [
        (b"", "invalid-module", "not a WebAssembly module"),
        (b"#!/bin/sh\n", "invalid-module", "not a WebAssembly module"),
        (b"\0asm\x02\0\0\0", "invalid-module", "another version"),
        (b"\0asm\x01\0\0\0\xff\xff", "invalid-module", "not valid"),
        (b"\0asm\x0d\0\x01\0", "not-loadable", "component"),
        (b"\0asm\x01\0\0\0", "not-loadable", "_start"),
    ],
)
def test_what_cannot_be_run_is_said(tmp_path: Path, litert: dict[str, Any], data: bytes, kind: str, word: str) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(data)
    result = run(RunSpec(module=str(module), personality=litert)).result
    assert (result.outcome, result.kind, result.status) == ("not-loadable", kind, 126)
    assert word in result.message


def test_a_missing_module_is_said(tmp_path: Path, litert: dict[str, Any]) -> None:
    result = run(RunSpec(module=str(tmp_path / "none.wasm"), personality=litert)).result
    assert (result.kind, result.status) == ("not-loadable", 126)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('(import "env" "f" (func))', "env::f"),
        (f'(import "{NN}" "nonsense" (func (param i32) (result i32)))', f"{NN}::nonsense"),
        (f'(import "{NN}" "load" (func (param i32 i32 i32 i32) (result i32)))', "has type"),
        (f'(import "{NN}" "compute" (func (param i64) (result i32)))', "has type"),
        (f'(import "{WASI}" "no_such_call" (func (result i32)))', "no_such_call"),
        ('(import "wasi_nn" "compute" (func (param i32) (result i32)))', "wasi_nn::compute"),
        ('(import "env" "memory" (memory 1))', "env::memory"),
    ],
)
def test_an_import_that_nobody_provides_is_a_link_error(
    tmp_path: Path, litert: dict[str, Any], text: str, word: str
) -> None:
    result = run_wat(f'(module {text} (func (export "_start")))', tmp_path, litert).result
    assert (result.outcome, result.kind, result.status) == ("link-error", "link-error", 126)
    assert word in result.message


def test_the_strict_profile_has_no_extensions(tmp_path: Path, witx: dict[str, Any]) -> None:
    text = f'(module (import "{NN}" "unload" (func (param i32) (result i32))) (func (export "_start")))'
    assert run_wat(text, tmp_path, witx).result.kind == "link-error"


@pytest.mark.parametrize(
    ("memory", "word"),
    [('(memory (export "memory") i64 1)', "64-bit"), ('(memory (export "memory") 1 2 shared)', "shared")],
)
def test_memories_that_wasi_nn_cannot_use(tmp_path: Path, litert: dict[str, Any], memory: str, word: str) -> None:
    result = run_wat(f'(module {memory} (func (export "_start")))', tmp_path, litert).result
    assert result.status == 126
    assert word in result.message or result.kind == "invalid-module"


def test_a_guest_without_memory_gets_missing_memory(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = f"""(module (import "{NN}" "load" (func $load (param i32 i32 i32 i32 i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (func (export "_start") (call $exit
        (call $load (i32.const 0) (i32.const 1) (i32.const 4) (i32.const 0) (i32.const 0)))))"""
    assert run_wat(text, tmp_path, litert).result.status == 3


def test_a_start_function_may_call_wasi_nn(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = f"""(module (import "{NN}" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 8) "digits") (global $r (mut i32) (i32.const 77))
      (func $early (global.set $r (call $load (i32.const 8) (i32.const 6) (i32.const 0)))) (start $early)
      (func (export "_start") (call $exit (global.get $r))))"""
    spec = ModelSpec("digits", str(MODELS / "digits_f32.tflite"))
    assert run_wat(text, tmp_path, litert, models=(spec,)).result.status == 0


def test_a_trap_in_a_start_function_is_a_trap(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = '(module (func $early unreachable) (start $early) (func (export "_start")))'
    assert run_wat(text, tmp_path, litert).result.kind == "trap"


def test_a_guest_that_allocates_without_end_is_stopped_and_told(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = """(module (memory (export "memory") 1) (func (export "_start")
      (loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable))"""
    result = run_wat(text, tmp_path, litert, limits=Limits(memory_bytes=32 * MIB)).result
    assert (result.outcome, result.kind, result.status) == ("failed", "memory-limit", 125)
    assert str(32 * MIB) in result.message


def test_a_guest_that_begins_over_the_limit_is_refused(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = '(module (memory (export "memory") 4096) (func (export "_start")))'
    result = run_wat(text, tmp_path, litert, limits=Limits(memory_bytes=16 * MIB)).result
    assert (result.kind, result.status) == ("memory-limit", 125)


def test_memory_within_the_limit_can_be_used(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = exits(
        "(drop (memory.grow (i32.const 400))) (memory.fill (i32.const 0) (i32.const 7) (i32.const 26000000))"
        "(call $exit (i32.load8_u (i32.const 25999999)))"
    )
    assert run_wat(text, tmp_path, litert, limits=Limits(memory_bytes=32 * MIB)).result.status == 7


def test_an_endless_loop_ends_at_the_time_limit(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = '(module (func (export "_start") (loop $l (br $l))))'
    result = run_wat(text, tmp_path, litert, limits=Limits(time_s=0.5)).result
    assert (result.kind, result.status) == ("time-limit", 125)


def loads(name: str, then: str = "") -> str:
    """A guest that loads a model by name, makes a context, computes once and exits with the first errno."""
    return f"""(module (import "{NN}" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
      (import "{NN}" "init_execution_context" (func $init (param i32 i32) (result i32)))
      (import "{NN}" "compute" (func $compute (param i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 8) "{name}")
      (func $check (param $errno i32) (if (local.get $errno) (then (call $exit (local.get $errno)))))
      (func (export "_start") {then}
        (call $check (call $load (i32.const 8) (i32.const {len(name)}) (i32.const 0)))
        (call $check (call $init (i32.const 0) (i32.const 4)))
        (call $check (call $compute (i32.const 0)))))"""


def test_a_model_over_the_run_s_memory_is_a_named_end(tmp_path: Path, litert: dict[str, Any]) -> None:
    path = made_models.write(tmp_path / "big.tflite", 4, 2048)
    models = (ModelSpec("big", str(path)),)
    limits = Limits(memory_bytes=16 * MIB)
    for spec in ({"models": models}, {"models": models, "golden": (GoldenSpec("big", (), ()),)}):
        result = run_wat(loads("big"), tmp_path, litert, limits=limits, **spec).result
        assert (result.outcome, result.kind, result.status) == ("failed", "out-of-memory", 125)
        assert str(16 * MIB) in result.message
    assert run_wat(loads("big"), tmp_path, litert, models=models).result.status == 0


def test_an_interpreter_that_does_not_come_back_is_stopped(tmp_path: Path, litert: dict[str, Any]) -> None:
    path = made_models.write(tmp_path / "slow.tflite", 1, 2048, repeat=3000)
    models = (ModelSpec("slow", str(path)),)
    result = run_wat(loads("slow"), tmp_path, litert, models=models, limits=Limits(time_s=0.5)).result
    assert (result.kind, result.status) == ("interpreter-stuck", 125)
    assert "interpreter" in result.message


def test_a_model_file_that_is_gone_is_said(tmp_path: Path, litert: dict[str, Any]) -> None:
    models = (ModelSpec("gone", str(tmp_path / "gone.tflite")),)
    result = run_wat(loads("gone"), tmp_path, litert, models=models).result
    assert (result.kind, result.status) == ("no-model", 125)


def test_a_bad_pointer_traps_where_the_profile_says_so(tmp_path: Path, witx: dict[str, Any]) -> None:
    call = "(drop (call $load (i32.const 65530) (i32.const 100) (i32.const 0)))"
    result = run_wat(loads("x", call), tmp_path, witx).result
    assert (result.outcome, result.kind, result.status) == ("trap", "trap", 134)
    assert "load_by_name: the name is outside guest memory" in result.message


@pytest.mark.parametrize(("how", "status"), [("abort", 134), ("segv", 139)])
def test_what_crashes_the_real_host_ends_the_run_at_that_call(
    tmp_path: Path, litert: dict[str, Any], how: str, status: int
) -> None:
    steps = {**litert["functions"], "load_by_name": [{"step": "named-model", "fail": how}]}
    result = run_wat(loads("x"), tmp_path, {**litert, "functions": steps}).result
    assert (result.outcome, result.kind, result.status) == ("host-crash", f"host-{how}", status)
    assert result.message.startswith("host crash (known: load_by_name: there is no model named 'x'")


def test_a_host_that_crashes_when_the_guest_ends(tmp_path: Path, litert: dict[str, Any]) -> None:
    late = [{"step": "needs-mark", "flag": "loaded", "fail": "abort", "reason": "no model was ever loaded"}]
    result = run_wat(exits("nop"), tmp_path, {**litert, "functions": {**litert["functions"], "exit": late}}).result
    assert (result.outcome, result.status) == ("host-crash", 134)


@pytest.mark.parametrize("writable", [False, True])
def test_directories_are_read_only_unless_asked(tmp_path: Path, litert: dict[str, Any], writable: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "old").write_bytes(b"here")
    text = f"""(module (import "{WASI}" "path_open"
        (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 8) "oldnew../x")
      (func (export "_start")
        (if (call $open (i32.const 3)
          (i32.const 0) (i32.const 8) (i32.const 3) (i32.const 0) (i64.const 2)
          (i64.const 0) (i32.const 0) (i32.const 100))
          (then (call $exit (i32.const 10))))
        (if (i32.eqz (call $open (i32.const 3)
          (i32.const 0) (i32.const 14) (i32.const 4) (i32.const 1) (i64.const 64)
          (i64.const 0) (i32.const 0) (i32.const 100)))
          (then (call $exit (i32.const 11))))
        (if (call $open (i32.const 3)
          (i32.const 0) (i32.const 11) (i32.const 3) (i32.const 1) (i64.const 64)
          (i64.const 0) (i32.const 0) (i32.const 100))
          (then (call $exit (i32.const 12))))))"""
    ran = run_wat(text, tmp_path, litert, dirs=(DirSpec(str(folder), "/data", writable),))
    assert ran.result.status == (0 if writable else 12)
    assert (folder / "new").exists() is writable


def test_arguments_environment_and_streams_reach_the_guest(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = f"""(module (import "{WASI}" "args_get" (func $args (param i32 i32) (result i32)))
      (import "{WASI}" "environ_get" (func $env (param i32 i32) (result i32)))
      (import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "_start")
        (drop (call $args (i32.const 0) (i32.const 100))) (drop (call $env (i32.const 0) (i32.const 200)))
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 20))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))
        (i32.store (i32.const 0) (i32.const 200)) (i32.store (i32.const 4) (i32.const 8))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 16)))))"""
    ran = run_wat(text, tmp_path, litert, args=("one", "two"), env={"KEY": "val"})
    assert ran.memory == b"guest.wasm\0one\0two\0\0"
    assert ran.stderr == b"KEY=val\0"


def test_a_host_without_a_backend_says_so(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = f"""(module (import "{NN}" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32))) (memory (export "memory") 1)
      (func (export "_start") (call $exit (call $load (i32.const 8) (i32.const 6) (i32.const 0)))))"""
    ran = run_wat(text, tmp_path, litert, backend="none")
    assert ran.result.status == 2
    assert "no TFLite backend" in ran.logs()


def test_a_profile_without_functions_runs_nothing(tmp_path: Path, litert: dict[str, Any]) -> None:
    structural = {k: v for k, v in litert.items() if k not in ("functions", "abi")}
    result = run_wat(exits("nop"), tmp_path, structural).result
    assert (result.outcome, result.status) == ("not-loadable", 126)


def test_a_wasm_feature_that_the_firmware_lacks_is_an_invalid_module(tmp_path: Path, litert: dict[str, Any]) -> None:
    profile = {**litert, "wasm": {"features": {"simd": False, "relaxed-simd": False}}}
    text = '(module (func (export "_start") (drop (i8x16.splat (i32.const 1)))))'
    result = run_wat(text, tmp_path, profile).result
    assert (result.kind, result.status) == ("invalid-module", 126)
    assert run_wat(text, tmp_path, litert).result.status == 0


def test_two_runs_share_nothing(tmp_path: Path, litert: dict[str, Any]) -> None:
    spec = RunSpec(module="", personality=litert)
    assert run(spec).result.status == 0
    assert run(replace(spec, threads=2)).result.status == 0
