"""Devices that have runtimes of their own, with engines that fit and without; and engines that an app asks for."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING

import pytest

from lading import engines
from lading.bootstrap import judge
from lading.bootstrap.beside import with_engines
from lading.bundle import open_bundle, pack
from lading.devices import resolve
from lading.engines import choose, load_all
from lading.errors import CheckRefused, EngineMissing
from lading.project import load_project
from tests.support import runtime_stand_in
from tests.support.apps import write_app
from tests.support.boards import HOME, path_with, session
from tests.support.wat_guests import says

if TYPE_CHECKING:
    from pathlib import Path

    from lading.bootstrap.stages import Stage
    from lading.engines import EnginePart
    from tests.support.local_host import LocalHost

NO_FIT = "it needs glibc 2.35, the device's C library is musl 1.2.4: use a system with glibc"
PASSED = [
    {"runtime": "wasmedge", "version": "0.17.1", "passes": True, "unknown": False, "said": "ok", "remedy": ""},
]


def bundle(tmp_path: Path, module: bytes, *, app: str = "", more: str = "") -> Path:
    return pack(load_project(write_app(tmp_path / "app", module, app=app, more=more)), tmp_path / "app.lading").path


def test_a_device_that_no_engine_fits_gets_the_agent_for_a_runtime_that_it_has(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "engine_reasons", lambda _look: [NO_FIT])
    bin_ = tmp_path / "bin"
    runtime_stand_in.install(bin_, "wasmedge", "0.17.1", "wasmedge-0.17")
    host.path = path_with(bin_, python3=sys.executable)
    stages: list[Stage] = []
    with session(host, on_stage=stages.append) as opened:
        assert "runtime-wasmedge" in opened.hello.features
        with open_bundle(bundle(tmp_path, says("there\n"), app='runtime = "wasmedge"')) as opened_bundle:
            opened.push(opened_bundle, judged=PASSED)
        result = opened.run("app")
    assert (result.status, result.kind) == (0, "exit")
    assert any("without an engine of lading's own" in s.text and "WasmEdge 0.17.1" in s.text for s in stages)
    assert not (host.home / HOME / "engines" / "current.json").exists()
    before = len(host.commands)
    with session(host) as opened:
        opened.ping()
    assert len(host.commands) == before + 1, "it is ready: one command starts it"


def test_without_engines_lading_itself_is_no_runtime_there(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "engine_reasons", lambda _look: [NO_FIT])
    bin_ = tmp_path / "bin"
    runtime_stand_in.install(bin_, "wasmedge", "0.17.1", "wasmedge-0.17")
    host.path = path_with(bin_, python3=sys.executable)
    with session(host) as opened, open_bundle(bundle(tmp_path, says("x"))) as opened_bundle:
        assert "runtime-lading" not in opened.hello.features
        with pytest.raises(CheckRefused, match="no engine"):
            opened.push(opened_bundle)
        assert opened.status()["apps"] == {}


def test_engines_that_an_app_asks_for_come_beside_the_devices_own(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = {engine.name: engine.version for engine in choose()}["wasmtime"]
    other = next(e.version for e in load_all() if e.name == "wasmtime" and e.version != default)
    real = engines.default_set

    def relabelled(architecture: str, **_: object) -> tuple[EnginePart, ...]:
        parts = real(architecture)
        return tuple(dataclasses.replace(part, version=other) if part.name == "wasmtime" else part for part in parts)

    home = host.home / HOME
    with session(host):
        pass
    # Another version's wheel would have to come from the network: the same library stands in for it.
    monkeypatch.setattr(engines, "default_set", relabelled)
    before = json.loads((home / "engines" / "current.json").read_bytes())
    path = bundle(tmp_path, says("on another engine\n"), more=f'[engines]\nwasmtime = "{other}"')
    stages: list[Stage] = []
    with session(host) as opened, open_bundle(path) as cargo:
        with pytest.raises(EngineMissing):
            opened.push(cargo)
        done = with_engines(
            opened,
            cargo.bill.engines,
            lambda: opened.push(cargo),
            resolve("ssh://board"),
            on_stage=stages.append,
        )
        assert done.sent_blobs
        assert stages[-1].name == "check", "they were tried"
        assert opened.run("app").status == 0
        trips = opened.round_trips
        again = with_engines(
            opened, cargo.bill.engines, lambda: opened.push(cargo), resolve("ssh://board"), on_stage=stages.append
        )
        assert again.already_current
        assert opened.round_trips == trips + 1, "what is there is not asked for"
    assert json.loads((home / "engines" / "current.json").read_bytes()) == before
    assert (home / "engines" / f"wasmtime-{other}.json").is_file()
