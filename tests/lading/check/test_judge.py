"""Verdicts: the first call that differs from success, what is said about it, and what is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lading import profiles, targets
from lading.check import Place, Verdict, judge
from lading.check.verdict import At
from lading.emulate import NamedModel, OpenedDir
from lading.trace import SubjectOptions, Trace, open_subject, record
from lading.trace.document import End
from lading_agent.nn.facts import read_model
from tests.support import branching, wat_guests
from tests.support.differential import GUESTS, MODELS
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading_agent.nn.facts import ModelFacts


def script(*calls: str, guest: str = "nnx", models: tuple[NamedModel, ...] = ()) -> Trace:
    options = SubjectOptions(args=list(calls), models=models, dirs=[OpenedDir(MODELS.parent, ".")])
    with open_subject(GUESTS / f"{guest}.wasm", options) as subject:
        return record(subject)


def branching_trace(tmp_path: Path, behaviour: Callable[[bytes, ModelFacts], bytes], model: str) -> Trace:
    data = (MODELS / f"{model}.tflite").read_bytes()
    path = tmp_path / "guest.wasm"
    path.write_bytes(behaviour(data, read_model(data)))
    with open_subject(path) as subject:
        return record(subject)


def on(trace: Trace, profile: str, target: str | None = None) -> Verdict:
    return judge(trace, Place(profiles.find(f"profile:{profile}"), targets.find(target) if target else None))


UINT8 = ("L:f=models/digits_uint8.tflite", "I:g=0")
OUT = ("C:c=0", "G:c=0,i=0,max=40")


@pytest.fixture(scope="module")
def old_u8() -> Trace:
    return script(*UINT8, "S:c=0,i=0,t=2,d=1x8x8x1,n=64", *OUT)


@pytest.fixture(scope="module")
def digits() -> Trace:
    with open_subject(EXAMPLES / "digits") as subject:
        return record(subject)


def test_the_numbering_of_before_is_ok_where_it_belongs(old_u8: Trace) -> None:
    assert on(old_u8, "wasmedge-0.14").verdict == "ok"


def test_and_fails_at_set_input_where_it_does_not(old_u8: Trace) -> None:
    verdict = on(old_u8, "wasmedge-0.17")
    assert verdict.verdict == "fails"
    assert verdict.at == At(3, "set_input")
    assert verdict.outcome == "errno"
    assert str(verdict.errno) == "invalid_argument (1)"
    assert "u8 is 3" in verdict.remedy
    assert verdict.known_by == "measured"


def test_the_same_errno_has_each_firmwares_own_number() -> None:
    trace = script(*UINT8, "I:g=9")
    numbers = {p: on(trace, p).errno for p in ("wamr-2.3", "wamr-2.4")}
    assert all(e is not None for e in numbers.values())
    assert numbers["wamr-2.3"] != numbers["wamr-2.4"]


def test_what_kills_a_host_is_a_host_crash() -> None:
    trace = script("L:f=models/digits_int8.tflite", "I:g=0", "S:c=0,i=0,t=1,d=1x8x8x1,n=256", *OUT)
    verdict = on(trace, "wamr-2.4")
    assert (verdict.verdict, verdict.outcome, verdict.errno) == ("fails", "host-crash", None)
    assert verdict.remedy


def test_a_guest_of_the_other_abi_is_refused_or_traps() -> None:
    trace = script(*UINT8, guest="nnx_legacy_1_3")
    refused = on(trace, "wasmedge-0.17")
    assert (refused.at, refused.outcome) == ("instantiate", "link-error")
    assert "wasi_ephemeral_nn" in refused.remedy
    trapped = on(trace, "wamr-2.4")
    assert (trapped.at, trapped.outcome) == (At(1, "load"), "trap")


def test_a_wasm_encoding_that_is_not_loaded_is_named_with_the_compilers_switch() -> None:
    verdict = on(script(*UINT8, guest="nnx_legacy"), "wamr-1.3-legacy")
    assert (verdict.at, verdict.outcome) == ("instantiate", "not-loadable")
    assert "call-indirect-overlong" in verdict.reason
    assert "-mcpu=generic" in verdict.remedy


def test_components_only_is_not_for_core_modules(digits: Trace) -> None:
    verdict = on(digits, "wasmtime-wit")
    assert (verdict.at, verdict.outcome, verdict.known_by) == ("instantiate", "not-loadable", "inferred")


def test_a_declared_firmware_is_never_ok(digits: Trace) -> None:
    verdict = on(digits, "tflm-int8")
    assert (verdict.verdict, verdict.known_by) == ("unknown", "inferred")
    floats = script("L:f=models/digits_uint8.tflite", "I:g=0")
    assert on(floats, "tflm-int8").verdict == "fails", "TFLite Micro takes no uint8"


def test_an_arena_that_is_too_small_is_found(digits: Trace) -> None:
    profile = profiles.find("profile:tflm-int8")
    limits = type(profile.limits)(arena_bytes=16)  # type: ignore[arg-type]
    small = type(profile)(**{f: getattr(profile, f) for f in profile.__struct_fields__ if f != "limits"}, limits=limits)
    verdict = judge(digits, Place(small))
    assert verdict.verdict == "fails"
    assert "arena" in verdict.reason


def test_data_that_a_host_drops_is_said(old_u8: Trace) -> None:
    trace = script("L:f=models/x_i32.tflite", "I:g=0", "S:c=0,i=0,t=1,d=1x4,n=16", "C:c=0", "G:c=0,i=0,max=64")
    verdict = on(trace, "wamr-2.4")
    assert verdict.verdict == "ok"
    assert any("drops the data" in w for w in verdict.warnings)


def test_a_guest_that_tries_types_fails_at_the_first_that_is_refused(tmp_path: Path) -> None:
    trace = branching_trace(tmp_path, branching.retries_types, "digits_uint8")
    assert on(trace, "wasmedge-0.14").verdict == "ok"
    assert on(trace, "wasmedge-0.17").at == At(3, "set_input")


def test_a_guest_that_grows_its_buffer_is_seen_to_deal_with_the_answer(tmp_path: Path) -> None:
    trace = branching_trace(tmp_path, branching.grows_on_too_large, "digits_f32")
    same = on(trace, "wasmedge-main")
    assert (same.verdict, same.at, str(same.errno)) == ("fails", At(5, "get_output"), "too_large (7)")
    assert same.handled
    other = on(trace, "wasmedge-0.17")
    assert (other.verdict, str(other.errno)) == ("fails", "invalid_argument (1)")
    assert not other.handled, "there it gets another errno, and nobody knows what it does then"


def test_a_trace_that_ends_too_early_leaves_it_unknown() -> None:
    trace = script("L:f=models/nothing.tflite")
    verdict = on(trace, "lading-litert")
    assert verdict.verdict == "unknown"
    assert "status 90" in verdict.reason


def test_a_guest_that_did_its_work_may_end_as_it_likes(old_u8: Trace) -> None:
    ended = replace(old_u8, end=End("exit", 3, "exit"))
    verdict = on(ended, "wasmedge-0.14")
    assert verdict.verdict == "ok"
    assert "status 3" in verdict.warnings[0]
    trapped = replace(old_u8, end=End("trap", 134, "trap", "unreachable"))
    assert on(trapped, "wasmedge-0.14").verdict == "unknown"


def test_too_many_calls_leave_it_unknown(old_u8: Trace) -> None:
    assert on(replace(old_u8, complete=False), "wasmedge-0.14").verdict == "unknown"


def test_a_targets_memory_counts(old_u8: Trace) -> None:
    huge = replace(old_u8, memory_bytes=8 * 1024**3)
    verdict = on(huge, "wasmedge-0.14", "raspberry-pi-zero-w")
    assert (verdict.verdict, verdict.known_by) == ("fails", "inferred")
    assert "raspberry-pi-zero-w" in verdict.reason
    begins = replace(old_u8, module={**old_u8.module, "memory_bytes": 8 * 1024**3})
    assert on(begins, "wasmedge-0.14", "raspberry-pi-zero-w").at == "instantiate"


def test_a_library_is_no_program(old_u8: Trace) -> None:
    assert on(replace(old_u8, module={**old_u8.module, "start": False}), "wasmedge-0.14").outcome == "not-loadable"


def test_a_limit_on_contexts_is_found_at_the_call_that_meets_it(tmp_path: Path) -> None:
    path = tmp_path / "hoards.wasm"
    path.write_bytes(wat_guests.hoards_contexts("m"))
    with open_subject(path, SubjectOptions(models=[NamedModel("m", MODELS / "x_f32.tflite")])) as subject:
        trace = record(subject)
    verdict = on(trace, "lading-litert")
    assert verdict.at == At(66, "init_execution_context")
    assert str(verdict.errno) == "too_large (7)"


def test_every_profile_gives_a_verdict_with_its_reason(old_u8: Trace) -> None:
    for profile in profiles.load_all().values():
        verdict = judge(old_u8, Place(profile))
        assert verdict.verdict == "ok" or (verdict.reason and verdict.remedy), verdict
        document = verdict.to_json()
        assert {"verdict", "profile", "at", "outcome", "errno", "reason", "remedy", "known_by"} <= set(document)


def test_a_damaged_model_is_to_be_made_again(tmp_path: Path) -> None:
    whole = (MODELS / "x_f32.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    trace = script("N:name=cut", models=(NamedModel("cut", tmp_path / "cut.tflite"),))
    verdict = on(trace, "wasmedge-0.17")
    assert verdict.verdict == "fails"
    assert "damaged" in (verdict.reason or "")
    assert "convert it, or copy the file, again" in (verdict.remedy or "")
