"""Firmwares of which no call was recorded: what their profiles say of themselves, and what a run on them is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tflite.BuiltinOperator import BuiltinOperator

from lading import profiles
from tests.support.script_guest import SIX, Script, model

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = {
    "lading-litert", "lading-tflite-runtime", "wasi-nn-witx", "wasmedge-0.14", "wasmedge-0.17", "wasmedge-main",
    "wamr-1.3-legacy", "wamr-2.3-legacy", "wamr-2.4-legacy", "wamr-main-legacy", "wamr-2.3", "wamr-2.4", "wamr-main",
    "wasmtime-witx", "wasmtime-wit", "tflm-int8",
}  # fmt: skip


def test_all_promised_profiles_are_shipped() -> None:
    assert set(profiles.ids()) >= PROMISED


def test_what_was_not_recorded_does_not_call_itself_measured() -> None:
    for id_, profile in profiles.load_all().items():
        if profile.provenance.known_by == "measured":
            assert profile.provenance.recorded_on or profile.runtime.name == "lading", id_


@pytest.mark.parametrize("name", ["wasmtime-wit", "tflm-int8"])
def test_a_firmware_without_core_modules_refuses_a_run_by_name(name: str, tmp_path: Path) -> None:
    script = Script()
    script.load(model("x_f32"))
    outcome = script.run(tmp_path, profiles.find(name).resolved(), backend="none")
    assert outcome.result.kind == "not-loadable"
    assert outcome.result.status == 126
    assert name in outcome.result.message


def wasmtime(tmp_path: Path, script: Script) -> tuple[str, int, list[int]]:
    outcome = script.run(tmp_path, profiles.find("wasmtime-witx").resolved(), backend="none")
    return outcome.result.kind, outcome.result.status, outcome.errnos


def test_a_runtime_without_tflite_calls_a_tflite_model_unsupported(tmp_path: Path) -> None:
    script = Script(SIX)
    script.load(model("x_f32"))
    script.load_by_name(b"digits")
    script.init()
    script.call("compute", 0)
    script.output(16)
    assert wasmtime(tmp_path, script) == ("exit", 0, [6] * 5)


@pytest.mark.parametrize(("encoding", "target"), [(6, 0), (4, 3)])
def test_a_number_outside_an_enum_traps(encoding: int, target: int, tmp_path: Path) -> None:
    script = Script(SIX)
    script.load(model("x_f32"), encoding, target)
    assert wasmtime(tmp_path, script) == ("trap", 134, [])


def test_a_tensor_outside_memory_traps_before_its_context_is_looked_up(tmp_path: Path) -> None:
    script = Script(SIX)
    script.call("set_input", 9, 0, 0xFFFFFFF0)
    assert wasmtime(tmp_path, script) == ("trap", 134, [])


def test_operators_of_micro_firmware_are_tflite_s_own_names() -> None:
    custom = {"CIRCULAR_BUFFER", "TFLite_Detection_PostProcess"}
    profile = profiles.find("tflm-int8")
    assert set(profile.operator_list) - custom <= {name for name in vars(BuiltinOperator) if name.isupper()}
    assert profile.limits.arena_bytes == 128 * 1024
    assert {rule.tensor for rule in profile.tensors.input} == {"int8", "float32"}
