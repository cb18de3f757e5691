"""Guests on the permissive recorder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import wasmtime

from lading.emulate import NamedModel, OpenedDir
from lading.errors import ModuleError, UsageError
from lading.trace import Subject, SubjectOptions, Trace, open_subject, record
from lading.trace.document import TraceError
from lading_agent.nn.facts import read_model
from tests.support import wat_guests
from tests.support.branching import grows_its_buffer, retries_types
from tests.support.differential import GUESTS, MODELS
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


def traced(path: Path, *args: str, models: tuple[NamedModel, ...] = (), opened: bool = True) -> Trace:
    dirs = [OpenedDir(MODELS.parent, ".")] if opened else []
    with open_subject(path, SubjectOptions(args=list(args), models=models, dirs=dirs)) as subject:
        return record(subject)


def script(*calls: str, guest: str = "nnx") -> Trace:
    return traced(GUESTS / f"{guest}.wasm", *calls)


BEGIN = ("L:f=models/digits_int8.tflite", "I:g=0")


@pytest.fixture(scope="module")
def digits() -> Trace:
    with open_subject(EXAMPLES / "digits") as subject:
        return record(subject)


def test_a_project_is_traced_with_its_own_arguments_and_models(digits: Trace) -> None:
    assert digits.end.by_itself
    assert digits.end.status == 0
    assert [c.function for c in digits.calls[:3]] == ["load_by_name", "init_execution_context", "set_input"]
    assert digits.call_count == sum(c.times for c in digits.calls)
    assert digits.complete
    assert digits.numbering.name == "spec-new"
    (model,) = digits.models.values()
    assert model.name == "digits"
    assert model.needs["operators"]
    assert model.needs["arena_bytes"] > 0


def test_a_trace_survives_being_written_down(digits: Trace) -> None:
    document = json.loads(json.dumps(digits.to_json()))
    assert document["schema"] == "lading.trace/1"
    assert Trace.from_json(document).to_json() == document


@pytest.mark.parametrize(
    "change", [{"schema": "lading.trace/2"}, {"schema": None}, {"more": 1}, {"calls": [{}]}, {"models": 3}]
)
def test_traces_of_others_are_refused(digits: Trace, change: dict[str, Any]) -> None:
    with pytest.raises(TraceError):
        Trace.from_json({**digits.to_json(), **change})


def test_unknown_keys_that_begin_with_x_are_let_be(digits: Trace) -> None:
    assert Trace.from_json({**digits.to_json(), "x-note": "mine"}).subject == digits.subject


@pytest.mark.parametrize("code", range(8))
def test_every_type_code_is_taken_and_written_down(code: int) -> None:
    trace = script(*BEGIN, f"S:c=0,i=0,t={code},d=1x8x8x1,n=64", "C:c=0", "G:c=0,i=0,max=40")
    assert [c.outcome for c in trace.calls] == ["success"] * 5
    call = trace.calls[2].call
    assert (call.type_code, call.dims, call.data_length) == (code, (1, 8, 8, 1), 64)


def test_every_encoding_and_target_is_taken() -> None:
    trace = script(*(f"{BEGIN[0]},enc={e},tgt={t}" for e, t in ((0, 0), (5, 1), (6, 2), (260, 7))))
    assert [c.outcome for c in trace.calls] == ["success"] * 4
    assert [c.call.args["encoding"] for c in trace.calls] == [0, 5, 6, 260]


def test_what_every_host_refuses_is_refused() -> None:
    trace = script(
        "I:g=7", "L:f=@garbage:64", "C:c=3", BEGIN[0], "I:g=0", "S:c=0,i=9,t=1,d=1,n=4", "G:c=0,i=0,max=0", "L:f=@empty"
    )
    assert [c.outcome for c in trace.calls] == [
        "invalid_argument",
        "invalid_argument",
        "invalid_argument",
        "success",
        "success",
        "invalid_argument",
        "too_large",
        "invalid_argument",
    ]


def test_pointers_outside_memory_are_said_to_be_so() -> None:
    trace = script(*BEGIN, "S:c=0,i=0,tptr=end-4,t=1,d=1,n=4")
    assert trace.calls[2].told["readable"]["tensor"] is False
    assert trace.calls[2].outcome == "invalid_argument"


def test_the_old_layout_is_understood() -> None:
    trace = script(*BEGIN, "S:c=0,i=0,t=1,d=1x8x8x1,n=256", "C:c=0", "G:c=0,i=0,max=10", guest="nnx_legacy_1_3")
    assert [c.outcome for c in trace.calls] == ["success"] * 5
    assert trace.calls[4].writes == {"size-out": 10}
    assert trace.numbering.name == "legacy"


def test_functions_that_nobody_has_are_written_down_too() -> None:
    trace = traced(GUESTS / "imp_bogus_fn.wasm", "call")
    assert trace.calls[0].layout is None
    assert trace.calls[0].outcome == "unsupported_operation"


def test_calls_that_come_again_are_counted() -> None:
    cycle = ("S:c=0,i=0,t=3,d=1x8x8x1,n=64", "C:c=0", "G:c=0,i=0,max=40")
    trace = script(*BEGIN, *cycle * 20)
    assert trace.call_count == 62
    assert len(trace.calls) < 30, "few of them near the end of memory, where the place counts"
    assert sum(c.times for c in trace.calls) == 62


def test_handles_that_a_guest_makes_up_are_told_from_those_that_it_was_given(tmp_path: Path) -> None:
    made_up = script(BEGIN[0], BEGIN[0], "I:g=1")
    assert made_up.calls[2].told["fixed"] == ["graph"]
    path = tmp_path / "given.wasm"
    path.write_bytes(wat_guests.hoards_contexts("m"))
    given = traced(path, models=(NamedModel("m", MODELS / "x_f32.tflite"),), opened=False)
    assert given.calls[0].function == "load_by_name"
    assert all("fixed" not in c.told for c in given.calls[1:])


def test_a_guest_that_tries_types_is_content_with_its_first(tmp_path: Path) -> None:
    data = (MODELS / "digits_uint8.tflite").read_bytes()
    path = tmp_path / "retries.wasm"
    path.write_bytes(retries_types(data, read_model(data)))
    trace = traced(path, opened=False)
    assert [c.function for c in trace.calls] == ["load", "init_execution_context", "set_input", "compute", "get_output"]


def test_a_guest_that_grows_its_buffer_does_so(tmp_path: Path) -> None:
    data = (MODELS / "digits_f32.tflite").read_bytes()
    path = tmp_path / "grows.wasm"
    path.write_bytes(grows_its_buffer(data, read_model(data)))
    trace = traced(path, opened=False)
    assert [c.outcome for c in trace.calls if c.function == "get_output"][:2] == ["too_large", "too_large"]
    assert trace.end.status == 0


def test_a_guest_that_traps_has_a_trace() -> None:
    trace = traced(GUESTS / "trap.wasm")
    assert trace.end.outcome == "trap"
    assert not trace.calls


def test_a_guest_that_goes_on_for_ever_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "spins.wasm"
    path.write_bytes(wat_guests.spins())
    trace = record(Subject("spins", path), time_s=0.5)
    assert trace.end.kind == "time-limit"


def test_a_guest_that_infers_for_ever_is_not_called_stuck(tmp_path: Path) -> None:
    """Its time is nearly always over in the middle of an inference."""
    path = tmp_path / "infers.wasm"
    path.write_bytes(wat_guests.infers_for_ever("m"))
    with open_subject(path, SubjectOptions(models=[NamedModel("m", MODELS / "digits_f32.tflite")])) as subject:
        trace = record(subject, time_s=4)
    assert trace.got_output
    assert trace.end.kind == "time-limit"


@pytest.mark.parametrize(
    "data", [b"", b"\0asm", b"\0asm\1\0\0\0\xff", b"not a module at all", b"\0asm\1\0\0\0\1\x80\x80"]
)
def test_what_is_no_module_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.wasm"
    path.write_bytes(data)
    with pytest.raises(ModuleError, match=r"bad\.wasm"):
        record(Subject("bad", path))


def test_a_module_that_only_an_engine_refuses_has_an_end_that_says_so(tmp_path: Path) -> None:
    good = bytes(wasmtime.wat2wasm('(module (func (export "_start") (drop (i32.const 1))))'))
    path = tmp_path / "mistyped.wasm"
    path.write_bytes(
        good.replace(b"\x41\x01\x1a", b"\x42\x01\x45")
    )  # i64.const, then i32.eqz: an i64 where i32 belongs
    assert record(Subject("mistyped", path)).end.kind == "invalid-module"


def test_a_component_is_read_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "component.wasm"
    path.write_bytes(b"\0asm\x0d\0\1\0")
    trace = record(Subject("component", path))
    assert (trace.module["kind"], trace.calls) == ("component", ())


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no"), open_subject(tmp_path / "nothing"):
        pass
    with (
        pytest.raises(UsageError, match="no file"),
        open_subject(GUESTS / "nnx.wasm", SubjectOptions(models=[NamedModel("m", tmp_path / "no")])),
    ):
        pass
