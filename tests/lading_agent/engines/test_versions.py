"""An app that asks for versions of the engines gets them, or a refusal; never others."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading_agent.engines.fetched import RECORD, fetched
from lading_agent.engines.identity import Identities, digest_of
from lading_agent.engines.parts import EngineFile, EngineMissing, EngineSet
from lading_agent.runs.choose import Chooser
from lading_agent.runs.launch import CannotLaunch
from lading_agent.runs.spec import RunSpec

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def litert() -> dict[str, Any]:
    return profiles.find("lading-litert").resolved()


def engine(folder: Path, name: str, version: str) -> EngineFile:
    path = folder / f"{name}-{version}"
    path.write_bytes(f"{name} {version}".encode() * 100)
    return EngineFile(name, version, path, digest_of(path))


def in_cache(folder: Path, name: str, version: str, /, **changes: Any) -> Path:
    place = folder / (name + version)
    place.mkdir(parents=True)
    library = engine(place, name, version)
    doc = {
        "name": name,
        "version": version,
        "architecture": platform.machine(),
        "library": library.path.name,
        "digest": library.digest,
        **changes,
    }
    (place / RECORD).write_text(json.dumps(doc))
    return library.path


@pytest.fixture
def chooser(tmp_path: Path) -> Chooser:
    engines = EngineSet(*(engine(tmp_path, name, "1.0") for name in ("runner", "wasmtime", "litert")))

    def find(_: Identities) -> EngineSet:
        return engines

    return Chooser(finders=[find], others=[fetched(tmp_path / "cache")])


def versions(command: list[str]) -> tuple[str, str]:
    return (
        command[command.index("--wasmtime-version") + 1],
        command[command.index("--litert-version") + 1],
    )


def test_nothing_asked_for_is_what_is_there(chooser: Chooser, litert: dict[str, Any]) -> None:
    assert versions(chooser(RunSpec("m.wasm", litert))) == ("1.0", "1.0")
    assert versions(chooser(RunSpec("m.wasm", litert, engines={"litert": "1.0"}))) == ("1.0", "1.0")


def test_another_version_is_taken_where_it_was_fetched(
    chooser: Chooser, litert: dict[str, Any], tmp_path: Path
) -> None:
    spec = RunSpec("m.wasm", litert, engines={"wasmtime": "2.0"})
    with pytest.raises(
        CannotLaunch, match=r"wasmtime is 1\.0 here, not 2\.0; wasmtime 2\.0 for .* not fetched"
    ) as caught:
        chooser(spec)
    assert caught.value.kind == "engine-missing"
    assert "lading engines fetch wasmtime==2.0" in caught.value.remedy
    assert "2.0" in chooser.lacking(spec)
    path = in_cache(tmp_path / "cache", "wasmtime", "2.0")
    assert chooser.lacking(spec) == ""
    command = chooser(spec)
    assert versions(command) == ("2.0", "1.0")
    assert command[command.index("--wasmtime") + 1] == str(path)


def test_where_the_python_host_runs_no_version_matters(chooser: Chooser, litert: dict[str, Any]) -> None:
    spec = RunSpec("m.wasm", {**litert, "host": {}}, engines={"wasmtime": "2.0"})
    assert "--wasmtime-version" not in chooser(spec)
    assert chooser.lacking(spec) == ""


@pytest.mark.parametrize(
    "changes", [{"architecture": "s390x"}, {"version": "3.0"}, {"library": "../../elsewhere"}, {"library": 7}]
)
def test_a_record_of_something_else_is_not_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    in_cache(tmp_path, "litert", "2.0", **changes)
    with pytest.raises(EngineMissing):
        fetched(tmp_path)("litert", "2.0")


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', "[" * 100_000, "\0"])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    path = in_cache(tmp_path, "litert", "2.0")
    (path.parent / RECORD).write_text(text)
    with pytest.raises(EngineMissing):
        fetched(tmp_path)("litert", "2.0")


def test_a_run_keeps_what_it_asks_for_on_its_way_to_another_process(litert: dict[str, Any]) -> None:
    spec = RunSpec("m.wasm", litert, engines={"wasmtime": "2.0"})
    assert RunSpec.from_json(json.loads(spec.encode())) == spec
