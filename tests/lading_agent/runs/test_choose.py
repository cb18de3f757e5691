"""Which program runs a guest, and what is said where none can."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading_agent.engines import identity
from lading_agent.engines.identity import Identities, digest_of
from lading_agent.engines.parts import EngineFile, EngineMissing, EngineSet
from lading_agent.runs import choose
from lading_agent.runs.choose import AUTO, NATIVE, PYTHON, Chooser, installed_packages
from lading_agent.runs.launch import CannotLaunch
from lading_agent.runs.native import STEPS, unspoken
from lading_agent.runs.result import RunResult
from lading_agent.runs.spec import RunSpec
from tests.support import wat_guests
from tests.support.examples import ROOT
from tests.support.hosts import native
from tests.support.script_guest import run

if TYPE_CHECKING:
    from pathlib import Path

CRASHED = RunResult("failed", 125, "interpreter-crashed", "the runner died by SIGSEGV")


@pytest.fixture
def litert() -> dict[str, Any]:
    return profiles.find("lading-litert").resolved()


@pytest.fixture
def engines(tmp_path: Path) -> EngineSet:
    def file(name: str) -> EngineFile:
        path = tmp_path / name
        path.write_bytes(name.encode() * 1000)
        return EngineFile(name, "1.0", path, digest_of(path))

    return EngineSet(file("runner"), file("wasmtime"), file("litert"))


def chooser(engines: EngineSet | None, host: str = AUTO) -> Chooser:
    def find(_: Identities) -> EngineSet:
        if engines is None:
            raise EngineMissing("no engine was brought here")
        return engines

    return Chooser(host, finders=[find])


def word(command: list[str]) -> str:
    return "python" if command[0] == sys.executable else "native"


def test_the_profile_decides(litert: dict[str, Any], engines: EngineSet) -> None:
    auto = chooser(engines)
    assert word(auto(RunSpec("m.wasm", litert))) == "native"
    assert word(auto(RunSpec("m.wasm", {**litert, "host": {"native": False}}))) == "python"
    assert word(auto(RunSpec("m.wasm", {k: v for k, v in litert.items() if k != "host"}))) == "python"
    assert word(auto(RunSpec("m.wasm", litert, trace={"calls": True}))) == "python"
    assert word(auto(RunSpec("m.wasm", litert, backend="tflite-runtime"))) == "python"
    assert word(chooser(None)(RunSpec("m.wasm", litert))) == "python"


def test_only_lading_litert_is_native_of_the_shipped_profiles() -> None:
    found = [p.id for p in profiles.load_all().values() if p.host.native]
    assert found == ["lading-litert"]


def test_a_host_that_is_asked_for_is_taken_or_named(litert: dict[str, Any], engines: EngineSet) -> None:
    spec = RunSpec("m.wasm", litert)
    assert word(chooser(engines, PYTHON)(spec)) == "python"
    assert word(chooser(engines, NATIVE)(RunSpec("m.wasm", {**litert, "host": {}}))) == "native"
    with pytest.raises(CannotLaunch, match="no engine was brought here") as caught:
        chooser(None, NATIVE)(spec)
    assert caught.value.kind == "no-native-runner"


def test_where_neither_is_to_be_had_it_is_said(
    litert: dict[str, Any], engines: EngineSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(choose, "_importable", lambda name: name != "wasmtime")
    assert word(chooser(engines)(RunSpec("m.wasm", litert))) == "native"
    for spec, why in (
        (RunSpec("m.wasm", {**litert, "id": "other", "host": {}}), "does not replay the firmware profile other"),
        (RunSpec("m.wasm", litert, trace={"calls": True}), "does not record calls"),
    ):
        with pytest.raises(CannotLaunch, match=why) as caught:
            chooser(engines)(spec)
        assert caught.value.kind == "no-runtime"
        assert "wasmtime not installed" in caught.value.message
    module = tmp_path / "m.wasm"
    module.write_bytes(wat_guests.exits(0))
    result = run(RunSpec(str(module), litert), command=chooser(None)).result
    assert (result.outcome, result.status, result.kind) == ("failed", 125, "no-runtime")


def test_a_changed_engine_is_named_before_the_run(litert: dict[str, Any], engines: EngineSet) -> None:
    auto = chooser(engines)
    auto(RunSpec("m.wasm", litert))
    engines.litert.path.write_bytes(b"x" + engines.litert.path.read_bytes()[1:])
    with pytest.raises(CannotLaunch, match=r"engine damaged: litert 1\.0") as caught:
        auto(RunSpec("m.wasm", litert))
    assert caught.value.kind == "engine-damaged"
    assert "lading engines verify" in caught.value.remedy
    assert word(auto(RunSpec("m.wasm", {**litert, "host": {}}))) == "python"


@pytest.mark.parametrize("kind", ["interpreter-crashed", "interpreter-stuck", "no-engine", "runner-failed"])
def test_a_bad_end_has_the_engines_read_again(
    kind: str, litert: dict[str, Any], engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "state_of", lambda path: [path.stat().st_size, 0, 0, 0])
    auto, spec = chooser(engines), RunSpec("m.wasm", litert)
    auto(spec)
    ended = replace(CRASHED, kind=kind, metrics={"calls": 3})
    assert auto.examine(spec, ended) is ended
    engines.wasmtime.path.write_bytes(engines.wasmtime.path.read_bytes()[:-1] + b"\0")
    assert word(auto(spec)) == "native"
    found = auto.examine(spec, ended)
    assert (found.outcome, found.status, found.kind) == ("failed", 125, "engine-damaged")
    assert "engine damaged: wasmtime 1.0" in found.message
    assert "SIGSEGV" in found.message
    assert found.metrics == {"calls": 3}


def test_what_ends_well_or_on_the_python_host_is_not_examined(
    litert: dict[str, Any], engines: EngineSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read again")

    monkeypatch.setattr(identity, "first_damaged", never)
    auto = chooser(engines)
    done = RunResult("exit", 0, "exit")
    assert auto.examine(RunSpec("m.wasm", litert), done) is done
    assert auto.examine(RunSpec("m.wasm", {**litert, "host": {}}), CRASHED) is CRASHED


def test_the_installed_packages_are_looked_up_once(monkeypatch: pytest.MonkeyPatch, engines: EngineSet) -> None:
    looked: list[int] = []

    def installed(_: Identities) -> EngineSet:
        looked.append(1)
        return engines

    monkeypatch.setattr("lading_agent.engines.packages.installed", installed)
    find = installed_packages()
    assert find(Identities()) is find(Identities())
    assert len(looked) == 1
    engines.runner.path.write_bytes(b"another one")
    find(Identities())
    assert len(looked) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"functions": {}}, "no core modules"),
        ({"abi": {"layout": "wamr-legacy"}}, "wamr-legacy"),
        ({"backend": "tflite-runtime"}, "tflite-runtime"),
        ({"tensors": {"output": [{"how": "zeros"}]}}, "zeros"),
        ({"functions": {"exit": []}}, "when the guest ends"),
        ({"functions": {"compute": [{"step": "arena", "fail": "busy"}]}}, "'arena'"),
        ({"functions": {"compute": [{"step": "context", "fail": "busy", "when": "x"}]}}, "with 'when'"),
        ({"functions": {"init_execution_context": [{"step": "prepare", "fail": "success"}]}}, "going on"),
        ({"functions": {"get_output": [{"step": "put-output", "unit": "elements"}]}}, "elements"),
    ],
)
def test_a_changed_profile_is_left_to_the_host_that_honours_it(
    change: dict[str, Any], why: str, litert: dict[str, Any], engines: EngineSet
) -> None:
    changed = {**litert, **change}
    assert why in unspoken(changed)
    assert word(chooser(engines)(RunSpec("m.wasm", changed))) == "python"


def test_the_steps_are_those_of_the_runners_source() -> None:
    text = (ROOT / "toolkit" / "lading_runner" / "profile.c").read_text()
    rows = re.findall(r"\[STEP_\w+\] = \{\"([a-z-]+)\", (?:true|false), \{(.*?)\}\}", text)
    assert {name: tuple(re.findall(r'"(\w+)"', params)) for name, params in rows} == STEPS


@pytest.mark.parametrize("profile", [p.id for p in profiles.load_all().values()])
def test_what_is_unspoken_is_what_the_runner_refuses(profile: str, tmp_path: Path) -> None:
    module = tmp_path / "m.wasm"
    module.write_bytes(wat_guests.exits(7))
    document = profiles.find(profile).resolved()
    result = run(RunSpec(str(module), document), command=native()).result
    refused = result.kind in ("not-loadable", "no-backend")
    assert refused == bool(unspoken(document)), (result.message, unspoken(document))
