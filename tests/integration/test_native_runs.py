"""The native runner behind agent and command: compiled once, named in every answer, and never run when damaged."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading.bundle import open_bundle
from lading.client import Session, connect
from lading.devices import resolve
from lading.errors import EngineDamaged
from lading_agent.engines import identity
from lading_agent.runs.choose import Chooser
from lading_agent.runs.spec import ModelSpec, RunSpec
from lading_agent.serve.device import Served
from lading_agent.store.layout import Layout
from tests.support import wat_guests
from tests.support.hosts import native
from tests.support.local_agent import LocalLink
from tests.support.script_guest import MODELS, run

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from lading_agent.engines.parts import EngineSet
    from tests.support.command import Lading

RUNTIME = "lading native runner, wasmtime "
HEADER = {"magic": 0, "class": 4, "machine": 18, "program headers": 32, "size of a program header": 54}


@pytest.fixture(autouse=True)
def _native_here() -> None:
    native()


def code(store: Path) -> list[Path]:
    """The compiled guests of the board."""
    return sorted(store.rglob("*.cwasm"))


@pytest.fixture
def home(store: Path) -> Path:
    """The agent's folder on the test's board."""
    return store / "raspberry-pi-4b" / "lading-litert" / "default"


def test_a_release_is_compiled_before_it_runs_and_its_code_goes_with_it(
    lading: Lading, board: str, store: Path, digits: Path
) -> None:
    done = lading.json("deploy", digits, board)["devices"][0]
    assert done["push"]["code"]["state"] == "compiled"
    assert done["push"]["code"]["bytes"] > 0
    metrics = done["run"]["metrics"]
    assert metrics["runtime"].startswith(RUNTIME)
    assert metrics["code"] == "loaded"
    first = code(store)
    assert len(first) == 1
    assert lading.json("push", digits, board, "--force")["devices"][0]["push"]["code"]["state"] == "present"
    said = lading("run", board)
    assert RUNTIME in said.err
    assert "compiled code loaded" in said.err
    lading("remove", board, "digits", "--dry-run")
    assert code(store) == first
    lading("remove", board, "digits")
    assert code(store) == []


def test_code_that_went_is_made_again(lading: Lading, board: str, home: Path, digits_bundle: Path) -> None:
    lading("push", digits_bundle, board)
    shutil.rmtree(home / "cache")
    assert lading.json("run", board)["metrics"]["code"] == "compiled"
    assert lading.json("run", board)["metrics"]["code"] == "loaded"


def test_emulate_keeps_code_for_its_user(lading: Lading, tmp_path: Path) -> None:
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.exits(3))
    for host, states in (("auto", ("compiled", "loaded")), ("native", ("loaded",)), ("python", ("off",))):
        for state in states:
            assert lading.json("emulate", module, "--host", host, expect=3)["metrics"]["code"] == state
    module.write_bytes(wat_guests.infers("digits"))
    done = lading("emulate", module, "--model", f"digits={MODELS / 'digits_f32.tflite'}")
    assert RUNTIME in done.err
    assert "guest compiled, kept for the next run" in done.err


def test_a_profile_of_ones_own_with_other_numbers_runs_as_it_says(lading: Lading, tmp_path: Path) -> None:
    folder = lading.home / "config" / "lading" / "firmware_profiles"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text(
        'schema = 1\nextends = "lading-litert"\ntitle = "Mine"\n[statuses]\ntrap = 77\n[abi]\nmodules = ["my_nn"]\n'
    )
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.traps())
    said = lading.json("emulate", module, "--personality", "mine", expect=77)
    assert said["metrics"]["runtime"].startswith(RUNTIME)
    with (folder / "mine.toml").open("a") as file:
        file.write('[tensors]\noutput = [{ tensor = "any", how = "zeros" }]\n')
    said = lading.json("emulate", module, "--personality", "mine", expect=77)
    assert "Python host" in said["metrics"]["runtime"]


def test_two_runs_at_once_on_one_store_both_compile(
    lading: Lading, board: str, store: Path, home: Path, digits_bundle: Path
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    lading("push", digits_bundle, board)
    device = resolve(board)
    for _ in range(3):
        shutil.rmtree(home / "cache" / "code")
        with connect(device) as session, connect(device) as other, ThreadPoolExecutor(6) as pool:
            ends: list[Future[Any]] = [pool.submit(s.run, "digits") for s in (session, other) for _ in range(3)]
            found = [end.result() for end in ends]
        assert [end.status for end in found] == [0] * 6
        assert {end.metrics["code"] for end in found} <= {"compiled", "loaded"}
        assert len(code(store)) == 1


@pytest.fixture
def engines(tmp_path: Path) -> EngineSet:
    """The engines of this machine, copied so that they may be damaged."""
    usual = native().engines

    def copied(name: str) -> Any:
        file = getattr(usual, name)
        return replace(file, path=shutil.copy(file.path, tmp_path / name) and tmp_path / name)

    return replace(usual, wasmtime=copied("wasmtime"), litert=copied("litert"))


def flip(path: Path, offset: int) -> None:
    """One bit changes, and neither size nor time of change tell of it."""
    about = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    """A guest with a model: it takes both engines."""
    module = tmp_path / "guest.wasm"
    module.write_bytes(wat_guests.infers("digits", (1, 8, 8, 1)))
    models = (ModelSpec("digits", str(MODELS / "digits_f32.tflite")),)
    return RunSpec(str(module), profiles.find("lading-litert").resolved(), models=models)


@pytest.mark.parametrize("engine", ["wasmtime", "litert"])
def test_an_engine_with_a_flipped_bit_is_named_before_it_is_loaded(
    engine: str, engines: EngineSet, spec: RunSpec, tmp_path: Path
) -> None:
    path = getattr(engines, engine).path
    for part in (0, 0.3, 0.9):
        auto = Chooser(cache=tmp_path / "cache", finders=[lambda _: engines])
        assert run(spec, command=auto).result.status == 0
        offset = int(path.stat().st_size * part)
        flip(path, offset)
        result = run(spec, command=auto).result
        assert (result.outcome, result.status, result.kind) == ("failed", 125, "engine-damaged")
        assert f"engine damaged: {engine}" in result.message
        flip(path, offset)


@pytest.mark.parametrize("engine", ["wasmtime", "litert"])
@pytest.mark.parametrize("where", HEADER)
def test_an_engine_that_the_medium_damaged_is_named_after_the_run(
    engine: str, where: str, engines: EngineSet, spec: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tells that the file changed; it fails to load, or crashes, and then it is read again."""
    monkeypatch.setattr(identity, "state_of", lambda path: [path.stat().st_size, 0, 0, 0])
    auto = Chooser(finders=[lambda _: engines])
    identity.check(engines, auto.identities)
    flip(getattr(engines, engine).path, HEADER[where])
    result = run(spec, command=auto).result
    assert (result.outcome, result.status, result.kind) == ("failed", 125, "engine-damaged"), result
    assert f"engine damaged: {engine}" in result.message


def test_a_device_names_a_damaged_engine(
    engines: EngineSet, lading: Lading, board: str, home: Path, digits_bundle: Path
) -> None:
    lading("push", digits_bundle, board)
    device = json.loads((home / "device.json").read_bytes())
    flip(engines.litert.path, 1000)
    runner = Chooser(finders=[lambda _: engines])
    served = Served(Layout(home), device["target"], device["profile"], runner=runner)
    with Session(LocalLink(served)) as session, open_bundle(digits_bundle) as bundle:
        result = session.run("digits")
        assert (result.status, result.kind) == (125, "engine-damaged")
        with pytest.raises(EngineDamaged, match="engine damaged: litert") as caught:
            session.push(bundle, force=True)
        assert "lading engines verify" in caught.value.remedy
    assert lading("run", board).status == 0
