"""A device that has nothing gets everything; one that has it is asked for nothing more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.boards import HOME, oldest_python, path_with, session

if TYPE_CHECKING:
    from pathlib import Path

    from lading.bootstrap.cargo import Cargo
    from lading.bootstrap.stages import Stage
    from tests.support.local_host import LocalHost


def test_everything_is_brought_once_and_then_one_command_starts_it(host: LocalHost) -> None:
    stages: list[Stage] = []
    with session(host, on_stage=stages.append) as opened:
        assert opened.hello.profile["id"] == "lading-litert"
    assert stages[0].name == "look"
    assert {"look", "agent", "engines", "check"} <= {s.name for s in stages}
    assert all(0 <= s.done <= s.total for s in stages)
    assert len(host.commands) == 4  # not there; a look; the agent; and again
    stages.clear()
    with session(host, on_stage=stages.append) as opened:
        opened.ping()
        assert opened.round_trips == 1
    assert len(host.commands) == 5
    assert stages == []


def test_what_lies_on_the_device_is_what_the_manual_says(host: LocalHost, brought: Cargo) -> None:
    cargo = brought
    with session(host):
        pass
    home = host.home / HOME
    assert {p.name for p in home.iterdir()} == {
        *("agent", "apps", "blobs", "cache", "device.json", "engines", "lock", "staging")
    }
    assert (home / "agent" / cargo.file_name).read_bytes() == cargo.agent
    assert (home / "agent" / "current").readlink().name == cargo.file_name
    assert (home / "agent" / f"{cargo.ready}.ready").is_file()
    assert list((home / "staging").iterdir()) == []
    device = json.loads((home / "device.json").read_bytes())
    assert device["profile"] == json.loads(json.dumps(cargo.profile))
    assert device["target"]["storage_bytes"] is None
    current = json.loads((home / "engines" / "current.json").read_bytes())
    assert [part["name"] for part in current["parts"]] == ["runner", "wasmtime", "litert"]
    for part in current["parts"]:
        assert (home / "blobs" / "sha256" / part["library"]["digest"].partition(":")[2]).stat().st_size
        assert part["licences"], f"{part['name']} comes without its licence"
    assert [p.name for p in host.home.iterdir()] == [".local"], "something lies outside of the home"


def test_the_oldest_python_without_packages_serves_and_runs_on_the_engines(host: LocalHost, tmp_path: Path) -> None:
    python = oldest_python()
    host.path = path_with(tmp_path / "bin", python3=python)
    with session(host) as opened:
        assert opened.hello.python.startswith("3.9.")
        probed = opened.probe([_silent_guest()])
    assert (probed[0].outcome, probed[0].status) == ("exit", 0), probed[0].message
    assert "native" in probed[0].runtime


def _silent_guest() -> bytes:
    import wasmtime

    return bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "_start")))'))


def test_another_home_is_where_the_address_says(host: LocalHost, tmp_path: Path) -> None:
    for given, where in (("~/my lading", host.home / "my lading"), (str(tmp_path / "opt/x"), tmp_path / "opt/x")):
        with session(host, given) as opened:
            opened.ping()
        assert (where / "device.json").is_file()


@pytest.mark.parametrize("text", ["a'b", "$(x)", "x!", "back\\slash", 'quo"te', "~other/x", "..", "/", "~/", "a/../b"])
def test_a_home_that_a_shell_would_spoil_is_refused(host: LocalHost, text: str) -> None:
    from lading.bootstrap import agent_link
    from lading.errors import AddressError

    with pytest.raises(AddressError):
        agent_link(host, text)
    assert host.commands == []
