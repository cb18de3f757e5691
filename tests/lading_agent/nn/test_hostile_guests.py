"""What a guest passes is hostile: each wrong argument gives an errno, and the host goes on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.script_guest import EXTENDED, SIZE, Script, model

if TYPE_CHECKING:
    from pathlib import Path

F32 = 1
WILD = (0, 1, SIZE - 1, SIZE, SIZE - 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF)
FLOATS = struct.pack("<4f", 1, 2, 3, 4)


def ready(name: str = "x_f32") -> Script:
    script = Script()
    script.load(model(name))
    script.init()
    return script


def still_works(script: Script) -> int:
    """Adds a good round at the end; returns where its output goes."""
    script.call("set_input", 0, 0, script.tensor((1, 4), F32, FLOATS))
    script.call("compute", 0)
    return script.output(16)[0]


@pytest.mark.parametrize("wild", [w for w in WILD if w > 1])
def test_pointers_outside_memory_are_invalid_arguments(tmp_path: Path, litert: dict[str, Any], wild: int) -> None:
    script = ready()
    good = model("x_f32")
    handle = script.put(b"....")
    data = script.put(good)
    builder = script.put(struct.pack("<II", data, len(good)))
    bad = 0
    for args in [
        (wild, 1, 4, 0, handle),
        (script.put(struct.pack("<II", wild, len(good))), 1, 4, 0, handle),
        (script.put(struct.pack("<II", data, wild)), 1, 4, 0, handle),
    ]:
        script.call("load", *args)
    for _ in range(1 if wild > SIZE - 4 else 0):
        script.call("load", builder, 1, 4, 0, wild)
        script.call("init_execution_context", 0, wild)
        script.call("set_input", 0, 0, wild)
        script.call("get_output", 0, 0, wild, 16, handle)
        script.call("get_output", 0, 0, handle, 4, wild)
        script.call("load_by_name", wild, 6, handle)
        script.call("load_by_name", handle, 4, wild)
        script.call("load_by_name_with_config", handle, 4, wild, 4, handle)
    for dims, count, where, size in [
        (wild, 2, data, 16),
        (data, wild, data, 16),
        (data, 2, wild, 16),
        (data, 2, data, wild),
    ]:
        script.call("set_input", 0, 0, script.put(struct.pack("<IIIII", dims, count, F32, where, size)))
    bad = len(script.calls)
    at = still_works(script)
    ran = script.run(tmp_path, litert)
    assert ran.errnos[:2] == [0, 0]
    assert set(ran.errnos[2:bad]) == {1}
    assert ran.errnos[bad:] == [0, 0, 0]
    assert ran.floats(at, 4) == (2, 3, 4, 5)


@pytest.mark.parametrize("count", [0, 2, 3, 0x20000000, 0xFFFFFFFF])
def test_a_model_comes_in_one_piece(tmp_path: Path, litert: dict[str, Any], count: int) -> None:
    script = Script()
    data = model("x_f32")
    builder = script.put(struct.pack("<II", script.put(data), len(data)) * 3)
    script.call("load", builder, count, 4, 0, script.put(b"...."))
    assert script.run(tmp_path, litert).errnos == [1]


@pytest.mark.parametrize(
    ("encoding", "target", "errno"),
    [(4, 0, 0), (5, 0, 0), (0, 0, 2), (3, 0, 2), (6, 0, 2), (260, 0, 2), (0xFFFFFFFF, 0, 2), (4, 1, 6), (4, 2, 6),
     (4, 3, 1), (4, 0xFFFFFFFF, 1)],
)  # fmt: skip
def test_encodings_and_targets(tmp_path: Path, litert: dict[str, Any], encoding: int, target: int, errno: int) -> None:
    script = Script()
    script.load(model("x_f32"), encoding, target)
    assert script.run(tmp_path, litert).errnos == [errno]


@pytest.mark.parametrize(
    "data", [b"", b"x", b"\xab" * 1000, b"\xab" * 4 + b"TFL3" + b"\xab" * 992, b"\0" * 4 + b"TFL3"]
)
def test_what_is_no_model_is_an_invalid_argument(tmp_path: Path, litert: dict[str, Any], data: bytes) -> None:
    script = Script()
    script.load(data)
    script.load(model("x_f32"))
    script.init(0)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [1, 0, 0]
    assert "model" in ran.logs()


@pytest.mark.parametrize("dims", [(4,), (1, 4, 1), (4, 1), (1, 2), (0, 4), (2, 4), (65536, 65536), (0x40000001, 4), ()])
def test_other_dimensions_than_the_model_s_are_refused_and_explained(
    tmp_path: Path, litert: dict[str, Any], dims: tuple[int, ...]
) -> None:
    script = ready("x_dynbatch")
    script.call("set_input", 0, 0, script.tensor(dims, F32, FLOATS))
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 1]
    assert "'serving_default_x:0' is float32 1x4" in ran.logs()
    assert ("x".join(map(str, dims)) or "scalar") in ran.logs()


@pytest.mark.parametrize("size", [0, 4, 12, 15, 17, 20, 64])
def test_other_lengths_than_the_tensor_s_are_refused(tmp_path: Path, litert: dict[str, Any], size: int) -> None:
    script = ready()
    script.call("set_input", 0, 0, script.tensor((1, 4), F32, b"\0" * size))
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 1]
    assert "16 bytes are needed" in ran.logs()


def test_handles_and_indices_that_are_nobody_s(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = ready()
    tensor = script.tensor((1, 4), F32, FLOATS)
    for wild in (1, 2, 99, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        script.init(wild)
        script.call("set_input", wild, 0, tensor)
        script.call("set_input", 0, wild, tensor)
        script.call("compute", wild)
        script.output(16, context=wild)
        script.output(16, index=wild)
        script.call("unload", wild)
        script.call("finalize_execution_context", wild)
        script.call("compute_single", wild)
        script.call("fini_single", wild)
    bad = len(script.calls)
    at = still_works(script)
    ran = script.run(tmp_path, litert)
    assert set(ran.errnos[2:bad]) == {1}
    assert ran.floats(at, 4) == (2, 3, 4, 5)


def test_a_buffer_that_is_too_small_learns_what_is_needed(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = ready()
    script.call("compute", 0)
    at, written = script.output(15)
    ran = script.run(tmp_path, litert)
    assert ran.errnos[-1] == 7
    assert ran.u32(written) == 16
    assert ran.memory[at : at + 16] == b"\xcc" * 16


def test_there_is_no_output_before_compute(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = ready()
    at, written = script.output(16)
    ran = script.run(tmp_path, litert)
    assert ran.errnos[-1] == 1
    assert "compute has not run" in ran.logs()
    assert ran.memory[at : at + 16] == b"\xcc" * 16
    assert ran.u32(written) == 0xEEEEEEEE


def test_the_output_may_overlap_anything(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = ready()
    tensor = script.tensor((1, 4), F32, FLOATS)
    script.call("set_input", 0, 0, tensor)
    script.call("compute", 0)
    script.call("get_output", 0, 0, tensor - 4, 16, tensor)
    script.call("set_input", 0, 0, tensor)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 0, 0, 0, 1]
    assert ran.u32(tensor) == 16


def test_limits_on_graphs_and_contexts(tmp_path: Path, litert: dict[str, Any]) -> None:
    from lading_agent.runs.spec import Limits

    script = Script()
    for _ in range(4):
        script.load(model("x_f32"))
    for _ in range(4):
        script.init()
    script.call("finalize_execution_context", 0)
    script.init()
    script.call("unload", 0)
    script.load(model("x_f32"))
    script.call("compute", 1)
    script.call("compute", 3)
    ran = script.run(tmp_path, litert, limits=Limits(graphs=3, contexts=2))
    assert ran.errnos == [0, 0, 0, 7, 0, 0, 7, 7, 0, 0, 0, 0, 1, 1]
    assert "limit of 3 graphs" in ran.logs()


def test_a_model_over_the_limit_is_too_large(tmp_path: Path, litert: dict[str, Any]) -> None:
    from lading_agent.runs.spec import Limits, ModelSpec
    from tests.support.script_guest import MODELS

    script = Script()
    script.load(model("digits_f32"))
    script.load_by_name(b"digits")
    ran = script.run(
        tmp_path,
        litert,
        limits=Limits(model_bytes=1000),
        models=(ModelSpec("digits", str(MODELS / "digits_f32.tflite")),),
    )
    assert ran.errnos == [7, 7]


def test_a_flood_of_failures_does_not_flood_the_log(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    for _ in range(2000):
        script.call("compute", 7)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [1] * 2000
    assert len(ran.events) <= 1010


number = st.one_of(
    st.integers(0, 0xFFFFFFFF), st.integers(0, 8), st.sampled_from(WILD), st.integers(65536, 65536 + 4096)
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(sorted(EXTENDED)), st.lists(number, min_size=5, max_size=5)), max_size=200))
def test_no_sequence_of_calls_brings_the_host_down(
    tmp_path: Path, litert: dict[str, Any], calls: list[tuple[str, list[int]]]
) -> None:
    script = ready()
    script.tensor((1, 4), F32, FLOATS)
    for function, args in calls:
        script.call(function, *args[: EXTENDED[function]])
    ran = script.run(tmp_path, litert)
    # The guest may have overwritten its own list of calls; then it traps or goes astray, but never the host.
    assert ran.result.outcome in ("exit", "trap"), ran.result
    assert b"Traceback" not in ran.stderr
