"""Hosts that check little: models by identifier, buffers by their first byte, imports when they are called."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import profiles
from lading_agent.nn.facts import BEYOND, TensorFacts, read_model, read_unverified
from lading_agent.nn.tensors import truncated
from tests.support import made_models
from tests.support.script_guest import MODELS, SIX, SIZE, Script, model, run_wat

if TYPE_CHECKING:
    from pathlib import Path

NN = "wasi_ephemeral_nn"


def resolved(name: str) -> dict[str, Any]:
    return profiles.find(f"profile:{name}").resolved()


def guest(imports: str, code: str, *, features: str = "") -> str:
    return f'(module {imports} (memory (export "memory") 1) {features} (func (export "_start") {code}))'


# Models by identifier


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 400))
def test_reading_without_a_look_at_offsets_ends_with_a_word_for_the_damage(junk: bytes, cut: int) -> None:
    for data in (b"\0\0\0\0TFL3" + junk, model("x_f32")[: 8 + cut], model("x_f32")[:cut] + junk):
        facts, content = read_unverified(data)
        assert len(content) == len(data) + BEYOND
        assert not facts.identifier or (facts.error == "") == (facts.damage == "")
        assert facts.damage in ("", "refused", "wild")


@pytest.mark.parametrize(
    ("data", "damage"),
    [
        (b"\xab" * 4 + b"TFL3" + b"\xab" * 992, "wild"),
        (b"\0" * 4 + b"TFL3" + b"\0" * 992, "refused"),
        (model("digits_f32")[:12000], "refused"),
        (model("digits_f32")[:23731], ""),
        (model("digits_f32"), ""),
    ],
)
def test_damage_is_what_the_real_interpreter_met(data: bytes, damage: str) -> None:
    assert read_unverified(data)[0].damage == damage


WITHOUT_MEMORY = {"digits_dyn", "digits_f16", "digits_f32", "digits_int16x8", "digits_int8", "digits_uint8"}
"""Models whose outputs TensorFlow Lite 2.12 has no memory for between AllocateTensors and the first Invoke."""


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")), ids=lambda p: p.stem)
def test_outputs_without_memory_are_known_from_the_file(path: Path) -> None:
    assert read_model(path.read_bytes()).shaped_by_data == (path.stem in WITHOUT_MEMORY)


@pytest.mark.parametrize(("profile", "errno", "size"), [("wamr-2.4", 0, 4), ("wamr-2.3", 0, 1), ("wamr-main", None, 0)])
def test_an_operator_that_nobody_has_gives_a_context_without_memory(
    tmp_path: Path, profile: str, errno: int | None, size: int
) -> None:
    script = Script(SIX)
    script.load(made_models.with_custom_operator(model("hello_world_float")))
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 1), 1, struct.pack("<f", 1.0)))
    script.call("compute", 0)
    at, written = script.output(4)
    ran = script.run(tmp_path, resolved(profile))
    if errno is None:
        assert ran.errnos == [0, 0]
        assert (ran.result.kind, ran.result.status) == ("host-abort", 134)
    else:
        assert ran.errnos == [0, 0, 0, 0, errno]
        assert ran.u32(written) == size
        assert ran.memory[at : at + 4] == b"\0" * 4


# Buffers


@pytest.mark.parametrize(
    ("profile", "before_end", "kind"),
    [("wamr-2.4", 16, "exit"), ("wamr-2.4", 15, "trap"), ("wamr-main", 16, "exit"), ("wamr-main", 15, "trap")],
)
def test_an_output_that_ends_with_memory_is_taken_and_one_byte_more_traps(
    tmp_path: Path, profile: str, before_end: int, kind: str
) -> None:
    script = Script(SIX)
    script.load(model("x_f32"))
    script.init()
    script.call("compute", 0)
    script.call("get_output", 0, 0, SIZE - before_end, 16, script.put(b"\xee" * 4))
    ran = script.run(tmp_path, resolved(profile))
    assert ran.result.kind == kind
    assert ran.result.status == (0 if kind == "exit" else 1)


def test_a_claimed_capacity_is_not_looked_at_by_all(tmp_path: Path) -> None:
    script = Script(SIX)
    script.load(model("x_f32"))
    script.init()
    script.call("compute", 0)
    script.call("get_output", 0, 0, SIZE - 64, 0xFFFFFFFF, script.put(b"\xee" * 4))
    assert script.run(tmp_path, resolved("wamr-2.4")).errnos == [0, 0, 0, 0]
    ran = script.run(tmp_path, resolved("wamr-main"))
    assert (ran.errnos, ran.result.kind) == ([0, 0, 0], "trap")


def test_the_bytes_of_every_builder_have_to_be_in_memory(tmp_path: Path) -> None:
    script = Script(SIX)
    at = script.put(model("x_f32"))
    parts = script.put(struct.pack("<4I", at, 16, SIZE - 8, 16))
    script.call("load", parts, 2, 4, 0, script.put(b"\xee" * 4))
    assert script.run(tmp_path, resolved("wamr-2.4")).result.kind == "trap"


# Quantization as a C cast does it


@given(st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=16))
def test_a_cast_cuts_off_and_wraps(values: list[float]) -> None:
    facts = TensorFacts("x", "uint8", (len(values),), (len(values),), 1, scale=1 / 255, zero_point=0)
    got = truncated(np.array(values, np.float32), facts, np.dtype("uint8"))
    for value, byte in zip(np.array(values, np.float32), got, strict=True):
        with np.errstate(all="ignore"):
            real = float(np.float32(value) / np.float32(facts.scale))
        held = abs(real) < 2.0**31
        assert int(byte) == (int(real) & 0xFF if held else 0)


# Ends


def test_a_host_that_dies_when_the_guest_ends_dies_after_a_trap_too(tmp_path: Path) -> None:
    call = f'(import "{NN}" "compute" (func $compute (param i32) (result i32)))'
    for code, status in (("(drop (call $compute (i32.const 0)))", 134), ("nop", 0)):
        assert run_wat(guest(call, code), tmp_path, resolved("wamr-2.3")).result.status == status
    trapped = run_wat(guest(call, "(drop (call $compute (i32.const 0))) unreachable"), tmp_path, resolved("wamr-2.3"))
    assert (trapped.result.kind, trapped.result.status) == ("host-abort", 134)
    assert run_wat(guest(call, "unreachable"), tmp_path, resolved("wamr-2.3")).result.status == 1


def test_an_import_that_is_not_there_traps_when_it_is_called(tmp_path: Path) -> None:
    imports = (
        f'(import "{NN}" "bogus" (func $bogus (param i64 f32)))'
        f'(import "{NN}" "compute" (func $compute (param i32 i32) (result i32)))'
        '(import "other" "thing" (func $thing (result f64)))'
    )
    wamr = resolved("wamr-2.4")
    assert run_wat(guest(imports, "nop"), tmp_path, wamr).result.status == 0
    for code, name in (
        ("(call $bogus (i64.const 1) (f32.const 2))", "bogus"),
        ("(drop (call $compute (i32.const 0) (i32.const 0)))", "compute"),
        ("(drop (call $thing))", "thing"),
    ):
        result = run_wat(guest(imports, code), tmp_path, wamr).result
        assert (result.kind, result.status) == ("trap", 1)
        assert name in result.message


def test_an_import_that_is_no_function_cannot_wait_until_it_is_called(tmp_path: Path) -> None:
    result = run_wat(guest('(import "env" "g" (global i32))', "nop"), tmp_path, resolved("wamr-2.4")).result
    assert (result.kind, result.status) == ("not-loadable", 255)


# Wasm features

TABLES = "(table $a 1 funcref) (table $b 1 funcref) (type $t (func))"


@pytest.mark.parametrize(
    ("features", "code", "profile", "status"),
    [
        ("", "(drop (v128.const i32x4 1 2 3 4))", "wamr-2.4", 255),
        ("", "(drop (v128.const i32x4 1 2 3 4))", "lading-litert", 0),
        (TABLES, "(if (i32.const 0) (then (call_indirect $b (type $t) (i32.const 0))))", "wamr-1.3-legacy", 255),
        (TABLES, "(if (i32.const 0) (then (call_indirect $b (type $t) (i32.const 0))))", "wamr-2.3-legacy", 0),
    ],
)
def test_features_that_a_runtime_does_not_have_are_refused(
    tmp_path: Path, features: str, code: str, profile: str, status: int
) -> None:
    assert run_wat(guest("", code, features=features), tmp_path, resolved(profile)).result.status == status


@pytest.mark.parametrize("feature", ["simd", "reference-types", "function-references", "threads", "bulk-memory"])
def test_a_profile_without_one_feature_still_runs_guests(tmp_path: Path, litert: dict[str, Any], feature: str) -> None:
    profile = {**litert, "wasm": {"features": {feature: False}}}
    assert run_wat(guest("", "nop"), tmp_path, profile).result.status == 0
