"""Engines of the installed packages: the right files, with the digests that their installer wrote down."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from lading_agent import __version__
from lading_agent.engines import packages
from lading_agent.engines.identity import Identities, check, digest_of
from lading_agent.engines.parts import EngineMissing

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="native engines are for Linux")


def test_the_installed_engines_are_whole(tmp_path: Path) -> None:
    identities = Identities(tmp_path)
    engines = packages.installed(identities)
    check(engines, identities)
    assert [file.name for file in engines.files] == ["runner", "wasmtime", "litert"]
    assert [file.digest for file in engines.files] == [digest_of(file.path) for file in engines.files]
    assert engines.runner.version == __version__


def test_another_build_of_the_runner(tmp_path: Path) -> None:
    program = tmp_path / "runner"
    program.write_bytes(b"\x7fELF")
    assert packages.installed(program=program).runner.path == program


@pytest.mark.parametrize(("machine", "system"), [("sparc64", "linux"), ("x86_64", "darwin")])
def test_machines_without_one_are_named(machine: str, system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(sys, "platform", system)
    with pytest.raises(EngineMissing, match=r"there is no native runner for (sparc64|darwin)"):
        packages.installed()


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def nothing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", nothing)
    with pytest.raises(EngineMissing, match="wasmtime is not installed here"):
        packages.installed()


@pytest.mark.parametrize(
    ("record", "digest"),
    [
        (f"c,,\na/b.so,sha256={'A' * 43},3\n", f"sha256:{'0' * 64}"),
        ("a/b.so,sha256=AAAA,3\n", None),
        ("a/b.so,,\n", None),
        ("", None),
        ("a/b.so,sha256=*,3", None),
        ("xa/b.so,sha256=AAAA,3", None),
    ],
)
def test_what_the_installer_wrote_down(record: str, digest: str | None) -> None:
    assert packages._recorded(record, "a/b.so") == digest
