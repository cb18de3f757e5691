"""The native runner and the Python host agree call for call: errno, bytes, log lines, tensors and ends."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import wasmtime
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading import profiles
from lading_agent.runs.native import NativeRunner
from lading_agent.runs.spec import MIB, DirSpec, GoldenSpec, Limits, ModelSpec, RunSpec, TensorFile
from tests.support import dynamic_models, made_models, wat_guests
from tests.support.hosts import agree, agree_on, native
from tests.support.killer_models import arithmetic_trap, endless_loop
from tests.support.script_guest import EXTENDED, MODELS, SIX, SIZE, Script, model, run

F16, F32, F64, U8, I32, I64 = range(6)
IMAGE = (np.arange(64, dtype=np.float32) % 17 / 16).reshape(1, 8, 8, 1)
WILD = (0, 1, SIZE - 1, SIZE, SIZE - 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def litert() -> dict[str, Any]:
    return profiles.find("lading-litert").resolved()


def named(name: str, **more: Any) -> ModelSpec:
    return ModelSpec(name, str(MODELS / f"{name}.tflite"), **more)


def round_trip(script: Script, code: int, dims: tuple[int, ...], data: bytes, size: int) -> None:
    script.call("set_input", 0, 0, script.tensor(dims, code, data))
    script.call("compute", 0)
    script.output(size)


TYPES = [
    ("x_f32", F32, "<f4"), ("x_f16", F16, "<f2"), ("x_f64", F64, "<f8"), ("x_u8", U8, "u1"), ("x_i32", I32, "<i4"),
    ("x_i64", I64, "<i8"), ("x_i8", U8, "i1"), ("x_i16", U8, "<i2"), ("x_bool", U8, "?"), ("x_dynbatch", F32, "<f4"),
    ("x_f32_to_i32", F32, "<f4"), ("x_f32_to_i64", F32, "<f4"), ("x_two_out", F32, "<f4"), ("x_two_in", F32, "<f4"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "dtype"), TYPES)
def test_every_type_and_every_code(tmp_path: Path, litert: dict[str, Any], name: str, code: int, dtype: str) -> None:
    script = Script()
    script.load(model(name))
    script.init()
    value = np.array([[1, 2, 3, 100]]).astype(dtype)
    round_trip(script, code, (1, 4), value.tobytes(), 64)
    for other in (*range(8), 255):
        script.call("set_input", 0, 0, script.tensor((1, 4), other, value.tobytes()))
    script.call("compute", 0)
    for index in (0, 1, 2, 0xFFFFFFFF):
        script.output(64, index=index)
        script.output(3, index=index)
    agree(script, tmp_path, litert)


@pytest.mark.parametrize("name", ["digits_f32", "digits_f16", "digits_dyn", "digits_int16x8", "hello_world_float"])
def test_models_of_many_kinds(tmp_path: Path, litert: dict[str, Any], name: str) -> None:
    script = Script()
    script.load(model(name))
    script.init()
    round_trip(
        script, F32, (1, 1) if "hello" in name else (1, 8, 8, 1), IMAGE.tobytes()[: 4 if "hello" in name else 256], 64
    )
    script.call("compute", 0)
    script.output(64)
    agree(script, tmp_path, litert)


@pytest.mark.parametrize("policy", ["as-u8", "quantize-f32"])
@pytest.mark.parametrize("name", ["digits_int8", "digits_uint8", "x_i8", "hello_world_int8", "simple_add_model"])
def test_int8_policies(tmp_path: Path, litert: dict[str, Any], name: str, policy: str) -> None:
    wild = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 3.4e38, 0.4999, -0.5] * 8, np.float32)
    script = Script()
    script.load_by_name(name.encode())
    script.init()
    dims = {"x_i8": (1, 4), "hello_world_int8": (1, 1)}.get(name, (1, 8, 8, 1))
    count = int(np.prod(dims))
    script.call("compute", 0)
    for data in (IMAGE.reshape(-1)[:count], wild[:count]):
        round_trip(script, F32, dims, data.tobytes(), 4 * count)
    round_trip(script, U8, dims, bytes(range(count)), 4 * count)
    agree(script, tmp_path, litert, models=(named(name, int8=policy),))


@pytest.mark.parametrize(
    "dims", [(4,), (1, 4, 1), (4, 1), (1, 2), (0, 4), (2, 4), (65536, 65536), (0x40000001, 4), (), (1,) * 65, (1,) * 64]
)
def test_foreign_dimensions(tmp_path: Path, litert: dict[str, Any], dims: tuple[int, ...]) -> None:
    script = Script()
    for name in ("x_f32", "x_dynbatch"):
        script.load(model(name))
    for graph in (0, 1):
        script.init(graph)
        script.call("set_input", graph, 0, script.tensor(dims, F32, bytes(16)))
        script.call("set_input", graph, 0, script.tensor(dims, F32, bytes(32)))
    agree(script, tmp_path, litert)


def test_names_versions_limits_and_shared_models(tmp_path: Path, litert: dict[str, Any]) -> None:
    specs = (
        replace(named("digits_f32"), name="digits", version="1.2.0"),
        replace(named("digits_int8"), name="digits", version="2.0.0"),
        replace(named("x_f32"), name="other", encoding="onnx"),
        replace(named("x_f16"), name="gpu", target="gpu"),
    )
    script = Script()
    names = (b"digits", b"digits@1.2.0", b"digits@2.0.0", b"digit", b"", b"\xff\xfe'", b"it's \"\n\0", b"other", b"gpu")
    for name in (*names, b"n" * 5000, "größe".encode()):
        script.load_by_name(name)
    script.load(model("x_f32"))
    script.load(model("digits_int8"))
    config = script.put(b'{"threads": 1}')
    script.call("load_by_name_with_config", script.put(b"digits"), 6, config, 14, script.put(b"...."))
    for _ in range(3):
        script.init()
    script.call("finalize_execution_context", 1)
    script.call("unload", 0)
    script.call("unload", 0)
    script.init(1)
    script.call("compute", 0)
    script.call("compute", 3)
    agree(script, tmp_path, litert, models=specs, limits=Limits(graphs=5, contexts=2, model_bytes=20_000))


@pytest.mark.parametrize("wild", WILD)
def test_pointers_and_counts_outside_memory(tmp_path: Path, litert: dict[str, Any], wild: int) -> None:
    script = Script()
    script.load(model("x_f32"))
    script.init()
    data, handle = script.put(model("x_f32")), script.put(b"....")
    size = len(model("x_f32"))
    for where, length in ((wild, size), (data, wild), (data, size)):
        script.call("load", script.put(struct.pack("<II", where, length)), 1, 4, 0, handle)
    for args in (
        (wild, 1, 4, 0, handle),
        (handle, wild, 4, 0, handle),
        (data, 1, wild, 0, handle),
        (data, 1, 4, wild, handle),
    ):
        script.call("load", *args)
    for dims, count, where, length in (
        (wild, 2, data, 16),
        (data, wild, data, 16),
        (data, 2, wild, 16),
        (data, 2, data, wild),
    ):
        script.call("set_input", 0, 0, script.put(struct.pack("<IIIII", dims, count, F32, where, length)))
    for function, params in EXTENDED.items():
        for position in range(params):
            numbers = [0] * params
            numbers[position] = wild
            if function not in ("load", "unload", "finalize_execution_context") and wild > 8:
                script.call(function, *numbers)
    script.call("get_output", 0, 0, handle, 16, handle)
    agree(script, tmp_path, litert)


@pytest.mark.parametrize("functions", [SIX, EXTENDED])
def test_the_strict_profile(tmp_path: Path, functions: dict[str, int]) -> None:
    script = Script(functions=functions)
    script.load(model("digits_f32"))
    script.init()
    round_trip(script, F32, (1, 8, 8, 1), IMAGE.tobytes(), 64)
    script.call("load_by_name", SIZE - 2, 100, 0)
    agree(script, tmp_path, profiles.find("wasi-nn-witx").resolved())


def test_damaged_models(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    good = model("x_f32")
    for data in (b"", b"x", b"\xab" * 1000, b"\xab" * 4 + b"TFL3" + b"\xab" * 992, b"\0" * 4 + b"TFL3"):
        script.load(data)
    for size in range(8, len(good), 61):
        script.load(good[:size])
    agree(script, tmp_path, litert)


ODD = {
    "an operator's tensor is not there": (dynamic_models.absolute([4], result=7), [0, 5]),
    "an operator has a version that nobody knows": (dynamic_models.absolute([4], version=99), [1, 1]),
    "an output is larger than its file says": (dynamic_models.absolute([4], [2, 1]), [0, 0]),
    "an output is smaller than its file says": (dynamic_models.absolute([4], [400, 300]), [0, 0]),
    "an output has no dimensions that are known": (dynamic_models.absolute([4], [-1]), [1, 1]),
    "a zero point is outside its type": (dynamic_models.with_zero_point(-2666130979403333633), [0, 0]),
}


@pytest.mark.parametrize("oddity", ODD)
def test_models_that_are_wrong_inside(tmp_path: Path, litert: dict[str, Any], oddity: str) -> None:
    content, errnos = ODD[oddity]
    script = Script()
    script.load(content)
    script.init()
    for code, data in ((F32, struct.pack("<4f", 1, -2, 3, -4)), (U8, b"\1\2\3\4")):
        script.call("compute", 0)
        script.output(16)
        script.call("set_input", 0, 0, script.tensor((4,), code, data))
    script.call("compute", 0)
    script.output(16)
    ran = agree(script, tmp_path, litert)
    assert ran.errnos[:2] == errnos


@pytest.mark.parametrize(
    ("name", "word"), [("x_f32", b"PartitionedCall"), ("x_f64", b"output_0"), ("trained_lstm_int8", b"serving_default")]
)
def test_names_that_are_not_utf8(tmp_path: Path, litert: dict[str, Any], name: str, word: bytes) -> None:
    content = model(name)
    assert word in content
    script = Script()
    script.load(content.replace(word, b"\xff\xc3'" + word[3:-1] + b"\xe2"))
    script.init()
    script.call("compute", 0)
    script.output(64)
    script.output(0)
    assert agree(script, tmp_path, litert).errnos[:4] == [0] * 4


TOO_LARGE = {
    "an input of 17 GB": (dynamic_models.absolute([65536, 65536]), None),
    "an input of 9 PB": (dynamic_models.absolute([2**31 - 1, 2**20]), None),
    "input and output together": (dynamic_models.absolute([2**27 + 1]), None),
    "an output": (dynamic_models.broadcast([2**28 + 1]), None),
    "an input that the run has no memory for": (dynamic_models.absolute([9 * MIB]), 32 * MIB),
    "an output that the run has no memory for": (dynamic_models.broadcast([9 * MIB]), 32 * MIB),
}


@pytest.mark.parametrize("what", TOO_LARGE)
def test_tensors_that_are_too_large(tmp_path: Path, litert: dict[str, Any], what: str) -> None:
    content, memory_bytes = TOO_LARGE[what]
    script = Script()
    script.load(content)
    for _ in range(3):
        script.init()
    script.load(model("x_f32"))
    script.init(1)
    round_trip(script, F32, (1, 4), struct.pack("<4f", 1, 2, 3, 4), 16)
    ran = agree(script, tmp_path, litert, limits=Limits(memory_bytes=memory_bytes))
    assert ran.errnos == [0, 5, 5, 5, 0, 0, 0, 0, 0]
    assert f"inputs and outputs may have {memory_bytes or 2**30} bytes together" in ran.logs()


@pytest.mark.parametrize("size", [1000, 2**18, 2**19])
def test_a_state_of_any_size_begins_with_zeros(tmp_path: Path, litert: dict[str, Any], size: int) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(dynamic_models.counting(size))
    script = Script()
    script.load_by_name(b"counting")
    script.init()
    places = []
    for turn in range(6):
        script.call("compute_single", 0)
        places.append(script.output(4, index=1, function="get_output_single")[0])
        if turn == 2:
            script.call("fini_single", 0)
    ran = agree(script, tmp_path, litert, models=(ModelSpec("counting", str(path), state={"next": "x"}),))
    assert [ran.floats(at, 1)[0] for at in places] == [size * n for n in (1, 2, 3) * 2]


@pytest.mark.parametrize("threads", [-1, 1025, 10**9, 2**32 + 1])
def test_threads_that_nobody_has(tmp_path: Path, litert: dict[str, Any], threads: int) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.exits(0))
    ended = agree_on(RunSpec(str(module), litert, threads=threads)).result
    assert (ended.kind, ended.status) == ("too-many-threads", 125)
    assert str(threads) in ended.message
    assert "--threads" in ended.remedy


def test_all_cores(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("digits_f32"))
    script.init()
    round_trip(script, F32, (1, 8, 8, 1), IMAGE.tobytes(), 64)
    assert agree(script, tmp_path, litert, threads=0).result.kind == "exit"


def test_compute_single_streams_and_begins_anew(tmp_path: Path, litert: dict[str, Any]) -> None:
    two = named("x_two_out", state={"PartitionedCall:1": "a"})
    sums = named("x_two_in", state={"output_0": "serving_default_a:0"})
    wrong = [
        replace(named("digits_f32", state=state), name=f"wrong{i}")
        for i, state in enumerate([{"nothing": "x"}, {"output_0": "nothing"}, {"output_0": "keras_tensor"}])
    ]
    script = Script()
    for name in (b"x_two_out", b"x_two_in", b"wrong0", b"wrong1", b"wrong2"):
        script.load_by_name(name)
    for graph in range(5):
        script.init(graph)
    threes = script.tensor((1, 4), F32, struct.pack("<4f", 3, 3, 3, 3))
    for context in (0, 1):
        script.call("set_input", context, 0, threes)
        script.output(16, context=context, function="get_output_single")
        for turn in range(6):
            script.call("compute_single", context)
            script.output(16, context=context, function="get_output_single")
            if turn == 3:
                script.call("fini_single", context)
        script.output(16, context=context)
    script.load(model("x_f32"))
    script.init(5)
    script.call("compute_single", 2)
    ran = agree(script, tmp_path, litert, models=(two, sums, *wrong))
    assert sum(e["event"] == "tensor" for e in ran.events) == 6


def test_a_model_with_variables(tmp_path: Path, litert: dict[str, Any]) -> None:
    """LiteRT's own loader refuses them; its interpreter does not."""
    script = Script()
    script.load(model("trained_lstm_int8"))
    script.load_by_name(b"trained_lstm_int8")
    script.init()
    data = np.arange(28 * 28, dtype=np.uint8).tobytes()
    for _ in range(3):
        round_trip(script, U8, (1, 28, 28), data, 10)
    ran = agree(script, tmp_path, litert, models=(named("trained_lstm_int8"),))
    assert set(ran.errnos) == {0}


def test_a_host_without_a_backend(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("x_f32"))
    script.load_by_name(b"x_f32")
    script.init()
    agree(script, tmp_path, litert, backend="none", models=(named("x_f32"),))


def test_memory_that_grows_and_moves(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("x_f32"))
    script.init()
    for pages in (0, 1, 200):
        script.grow(pages)
        round_trip(script, F32, (1, 4), struct.pack("<4f", 1, 2, 3, 4), 16)
    agree(script, tmp_path, litert)


number = st.one_of(
    st.integers(0, 0xFFFFFFFF), st.integers(0, 8), st.sampled_from(WILD), st.integers(65536, 65536 + 4096)
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(EXTENDED)), st.lists(number, min_size=5, max_size=5)), max_size=200))
def test_any_sequence_of_calls(tmp_path: Path, litert: dict[str, Any], calls: list[tuple[str, list[int]]]) -> None:
    script = Script()
    script.load(model("x_two_in"))
    script.init()
    script.tensor((1, 4), F32, struct.pack("<4f", 1, 2, 3, 4))
    for function, args in calls:
        script.call(function, *args[: EXTENDED[function]])
    agree(script, tmp_path, litert)


NN, WASI = "wasi_ephemeral_nn", "wasi_snapshot_preview1"
ENDS = {
    "exits": wat_guests.exits(7),
    "exits with 255": wat_guests.exits(255),
    "exits with 256": wat_guests.exits(256),
    "exits with -1": wat_guests.exits(-1),
    "says": wat_guests.says("words\n", 3),
    "traps": wat_guests.traps(),
    "allocates": wat_guests.allocates(),
    "spins": wat_guests.spins(),
    "is empty": b"",
    "is a script": b"#!/bin/sh\n",
    "is of another version": b"\0asm\x02\0\0\0",
    "is damaged": b"\0asm\x01\0\0\0\xff\xff",
    "is a component": b"\0asm\x0d\0\x01\0",
    "is a library": b"\0asm\x01\0\0\0",
}
START = '(func (export "_start") {})'


def importing(module: str, name: str, kind: str, body: str = "", more: str = "") -> str:
    return f'(module (import "{module}" "{name}" {kind}) {more} {START.format(body)})'


MEMORY = '(memory (export "memory") 1)'
TEXTS = {
    "divides by zero": '(module (func (export "_start") (drop (i32.div_u (i32.const 1) (i32.const 0)))))',
    "reads outside": '(module (memory 1) (func (export "_start") (drop (i32.load (i32.const 65536)))))',
    "recurses": '(module (func $f (call $f)) (func (export "_start") (call $f)))',
    "traps at its start": '(module (func $f unreachable) (start $f) (func (export "_start")))',
    "is a library": '(module (func (export "main")))',
    "takes parameters": '(module (func (export "_start") (param i32)))',
    "begins too large": '(module (memory (export "memory") 4096) (func (export "_start")))',
    "has a shared memory": '(module (memory (export "memory") 1 2 shared) (func (export "_start")))',
    "has a wide memory": '(module (memory (export "memory") i64 1) (func (export "_start")))',
    "has no memory": importing(NN, "compute", "(func $c (param i32) (result i32))", "(drop (call $c (i32.const 0)))"),
    "imports nothing known": importing("env", "f", "(func)"),
    "imports a memory": importing("env", "memory", "(memory 1)"),
    "imports nonsense": importing(NN, "nonsense", "(func (param i32) (result i32))"),
    "imports another type": importing(NN, "compute", "(func (param i64 f32) (result i32))"),
    "imports a WASI that is not": importing(WASI, "no_such_call", "(func (result i32))"),
    "imports the older WASI": importing(
        "wasi_unstable", "proc_exit", "(func $e (param i32))", "(call $e (i32.const 5))"
    ),
    "asks for too much": importing(
        WASI,
        "random_get",
        "(func $r (param i32 i32) (result i32))",
        "(drop (call $r (i32.const 0) (i32.const -1)))",
        MEMORY,
    ),
}


@pytest.mark.parametrize("end", [*ENDS, *TEXTS])
def test_how_guests_end(tmp_path: Path, litert: dict[str, Any], end: str) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(ENDS[end] if end in ENDS else wasmtime.wat2wasm(TEXTS[end]))
    agree_on(RunSpec(str(module), litert, limits=Limits(time_s=0.4, memory_bytes=32 * MIB)))


def test_a_missing_module_model_or_directory(tmp_path: Path, litert: dict[str, Any]) -> None:
    module = tmp_path / "guest.wasm"
    agree_on(RunSpec(str(module), litert))
    module.write_bytes(wat_guests.exits(0))
    agree_on(RunSpec(str(module), litert, models=(ModelSpec("gone", str(tmp_path / "gone.tflite")),)))


def test_models_that_ruin_the_interpreter(tmp_path: Path, litert: dict[str, Any]) -> None:
    module, path = tmp_path / "guest.wasm", tmp_path / "m.tflite"
    cases: list[tuple[bytes, bytes, Limits]] = [
        (wat_guests.infers("m", (1,), content=b"\0\0\x80\x3f"), endless_loop(), Limits(time_s=0.5)),
        (wat_guests.infers("m", (4,), code=4, content=b"\0\0\0\x80" * 4), arithmetic_trap(), Limits()),
        (wat_guests.infers("m"), made_models.fully_connected(4, 2048), Limits(memory_bytes=16 * MIB)),
    ]
    for guest, content, limits in cases:
        module.write_bytes(guest)
        path.write_bytes(content)
        spec = RunSpec(str(module), litert, models=(ModelSpec("m", str(path)),), limits=limits)
        python, ours = run(spec), run(spec, command=native())
        assert (ours.result.kind, ours.result.status) == (python.result.kind, python.result.status)


@pytest.mark.parametrize("writable", [False, True])
def test_arguments_environment_streams_and_directories(tmp_path: Path, litert: dict[str, Any], writable: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "old").write_bytes(b"here")
    text = f"""(module
      (import "{WASI}" "args_get" (func $args (param i32 i32) (result i32)))
      (import "{WASI}" "environ_get" (func $env (param i32 i32) (result i32)))
      (import "{WASI}" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
      (import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "{WASI}" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
      (import "{WASI}" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 8) "newold../x")
      (func $try (param $at i32) (param $n i32) (param $flags i32) (param $rights i64) (result i32)
        (call $open (i32.const 3) (i32.const 0) (local.get $at) (local.get $n) (local.get $flags) (local.get $rights)
          (i64.const 0) (i32.const 0) (i32.const 100)))
      (func (export "_start")
        (drop (call $args (i32.const 200) (i32.const 300))) (drop (call $env (i32.const 400) (i32.const 500)))
        (i32.store (i32.const 0) (i32.const 1000)) (i32.store (i32.const 4) (i32.const 100))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 104)))
        (i32.store8 (i32.const 600) (call $try (i32.const 11) (i32.const 3) (i32.const 0) (i64.const 2)))
        (i32.store8 (i32.const 601) (call $try (i32.const 14) (i32.const 4) (i32.const 1) (i64.const 64)))
        (i32.store8 (i32.const 602) (call $try (i32.const 8) (i32.const 3) (i32.const 1) (i64.const 64)))
        (i32.store (i32.const 0) (i32.const 300)) (i32.store (i32.const 4) (i32.const 800))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 104)))
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 104)))
        (call $exit (i32.load8_u (i32.const 602)))))"""
    module = tmp_path / "guest.wasm"
    module.write_bytes(wasmtime.wat2wasm(text))
    spec = RunSpec(
        str(module),
        litert,
        args=("one", "zwölf"),
        env={"A": "1", "B": ""},
        dirs=(DirSpec(str(folder), "/data", writable),),
    )
    ran = agree_on(spec, stdin=b"typed in")
    assert b"typed in" in ran.memory
    assert "zwölf".encode() in ran.memory


X, Y = "serving_default_keras_tensor:0", "StatefulPartitionedCall_1:0"


@pytest.mark.parametrize(
    "change",
    [
        lambda out: out,
        lambda out: out + out.dtype.type(3),
        lambda out: np.where(np.arange(out.size).reshape(out.shape) == 4, out.dtype.type(100), out),
        lambda out: out.reshape(-1),
        lambda out: out.astype(np.float64),
    ],
)
@pytest.mark.parametrize("name", ["digits_f32", "digits_int8"])
def test_golden_vectors(tmp_path: Path, litert: dict[str, Any], name: str, change: Callable[..., Any]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    value = IMAGE if name == "digits_f32" else (np.arange(64) * 3 - 100).astype(np.int8).reshape(1, 8, 8, 1)
    interpreter = Interpreter(model_path=str(MODELS / f"{name}.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    output = change(np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])))

    def file(tensor: str, array: np.ndarray[Any, Any]) -> TensorFile:
        path = tmp_path / f"{len(tensor)}.bin"
        path.write_bytes(array.tobytes())
        return TensorFile(tensor, str(array.dtype), tuple(array.shape), str(path))

    vectors = (
        GoldenSpec(name, (file(X, value),), (file(Y, output),)),
        GoldenSpec(name, (file("keras_tensor", value),), (file("output_0", output),), tolerance=2, atol=0.5),
    )
    agree_on(RunSpec("", litert, models=(named(name),), golden=vectors))
    agree_on(RunSpec("", litert, models=(named(name),), golden=(GoldenSpec(name, (file("nothing", value),), ()),)))
    agree_on(RunSpec("", litert, models=(named(name),), golden=(GoldenSpec("nobody", (), ()),)))


def lives_through(script: Script, data: bytes, tensor: int) -> None:
    script.load(data)
    script.init()
    script.call("set_input", 0, 0, tensor)
    script.call("compute", 0)
    script.output(64)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (dynamic_models.where(4), "output 0 'y' has a size that is known only while the model runs"),
        (dynamic_models.of_rank(9, outside=True), "input 0 'x' has 9 dimensions, this host hands over at most 8"),
    ],
)
@pytest.mark.parametrize("profile", ["lading-litert", "wasi-nn-witx"])
def test_tensors_that_cannot_be_handed_over_are_refused_by_name(
    tmp_path: Path, profile: str, data: bytes, why: str
) -> None:
    script = Script(functions=SIX)
    script.load(data)
    script.init()
    ran = agree(script, tmp_path, profiles.find(profile).resolved())
    assert ran.errnos == [0, 5]
    assert why in ran.logs()


@pytest.mark.parametrize(
    ("data", "code", "content"),
    [
        (dynamic_models.where_between(4), U8, b"\1\0\1\1"),
        (dynamic_models.of_rank(8, outside=False), F32, struct.pack("<4f", 1, 2, 3, 4)),
        (dynamic_models.of_rank(9, outside=False), F32, struct.pack("<4f", 1, 2, 3, 4)),
        (dynamic_models.of_rank(12, outside=False), F32, struct.pack("<4f", 1, 2, 3, 4)),
        *(
            (dynamic_models.with_a_tensor_of(kind), F32, struct.pack("<4f", -1, 2, -3, 4))
            for kind in ("VARIANT", "RESOURCE", "COMPLEX128", "STRING", "INT4", "UINT16")
        ),
    ],
)
def test_unusual_tensors_between_inputs_and_outputs(
    tmp_path: Path, litert: dict[str, Any], data: bytes, code: int, content: bytes
) -> None:
    """LiteRT's own loader refuses some of them; its interpreter does not."""
    script = Script()
    lives_through(script, data, script.tensor((4,), code, content))
    ran = agree(script, tmp_path, litert)
    assert ran.errnos[:2] == [0, 0]
    assert ran.errnos[2:] in ([0, 0, 0], [1, 0, 0])  # wasi-nn has no name for bool


def test_a_profile_with_unknown_steps_is_refused_by_name(tmp_path: Path, litert: dict[str, Any]) -> None:
    steps = {**litert["functions"], "unload": [{"step": "graph", "fail": "trap"}, {"step": "drop-graph-only"}]}
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.exits(0))
    result = run(RunSpec(str(module), {**litert, "functions": steps}), command=native()).result
    assert (result.kind, result.status) == ("not-loadable", 126)
    assert "drop-graph-only" in result.message
    assert "Python host" in result.message


def test_an_engine_that_is_not_the_expected_one_is_refused_by_name(tmp_path: Path, litert: dict[str, Any]) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.infers("m"))  # the interpreter is loaded for a guest that asks for a model only
    spec = RunSpec(str(module), litert, models=(replace(named("x_f32"), name="m"),))
    usual = native().engines
    for broken, word in (
        (replace(usual, wasmtime=replace(usual.wasmtime, path=usual.litert.path)), "has no function wasm_"),
        (replace(usual, litert=replace(usual.litert, path=usual.wasmtime.path)), "has no function LiteRt"),
        (replace(usual, litert=replace(usual.litert, path=tmp_path / "none.so")), "cannot be loaded"),
        (replace(usual, wasmtime=replace(usual.wasmtime, path=module)), "cannot be loaded"),
        (replace(usual, wasmtime=replace(usual.wasmtime, version="3.0.0")), "wasmtime is 3.0.0"),
        (replace(usual, litert=replace(usual.litert, version="1.0.0")), "ai-edge-litert is 1.0.0"),
    ):
        result = run(spec, command=NativeRunner(broken)).result
        assert (result.kind, result.status) == ("no-engine", 125)
        assert word in result.message


def test_figures_name_the_engines(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("digits_f32"))
    script.init()
    for _ in range(5):
        script.call("compute", 0)
    metric = dict(script.run(tmp_path, litert, command=native()).result.metrics)
    assert metric["inferences"] == 5
    for key in ("load_ms", "init_ms", "first_ms", "median_ms", "p95_ms", "peak_memory_bytes"):
        assert metric[key] > 0
    assert metric["runtime"].startswith("lading native runner, wasmtime ")
    assert "ai-edge-litert" in metric["runtime"]
