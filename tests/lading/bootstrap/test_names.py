"""The names of what devices get are remembered, and never wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading import datafiles
from lading.bootstrap import cargo as cargos
from lading.bootstrap import names
from lading.bootstrap.cargo import load_cargo, make_cargo

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own; where the names are kept in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return datafiles.user_cache_dir() / names.FILE


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a firmware profile of its own."""
    folder = tmp_path / "project" / "firmware_profiles"
    folder.mkdir(parents=True)
    shipped = datafiles.shipped_dir("firmware_profiles") / "lading-litert.toml"
    (folder / "lading-litert.toml").write_text(shipped.read_text())
    return folder.parent


def test_what_is_remembered_is_what_would_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_cargo()
    with monkeypatch.context() as patched:
        patched.setattr(cargos, "make_cargo", lambda _: pytest.fail("it is made again"))
        again = load_cargo()
        assert (again.file_name, again.ready, again.digest) == (first.file_name, first.ready, first.digest)
    assert (again.agent, again.profile, again.engines) == (first.agent, first.profile, first.engines)
    assert list(again.runtimes) == list(first.runtimes)


def test_a_changed_file_changes_the_names(project: Path) -> None:
    assert load_cargo(project).ready == load_cargo(project).ready == make_cargo(project).ready
    before = load_cargo(project).ready
    profile = project / "firmware_profiles" / "lading-litert.toml"
    profile.write_text(profile.read_text().replace('\nname = "', '\nname = "Our ', 1))
    assert load_cargo(project).ready == make_cargo(project).ready != before


def test_each_project_is_remembered(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [load_cargo(place).ready for place in (None, project)]
    monkeypatch.setattr(cargos, "make_cargo", lambda _: pytest.fail("it is made again"))
    assert [load_cargo(place).ready for place in (None, project)] == expected


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"schema": 2, "known": {}}', '{"schema": 1}', '{"schema": 1, "known": []}', "\ufffd", "ours"],
)
def test_a_spoilt_cache_is_none(fresh: Path, text: str) -> None:
    right = load_cargo()
    spoilt: list[object] = [[], ["x", "y"], [right.digest], [right.digest[1:], right.ready], [1, 2], {}, None]
    for found in spoilt if text == "ours" else spoilt[:1]:
        known = json.dumps({"schema": 1, "known": {names.fingerprint(): found}})
        fresh.write_text(known if text == "ours" else text)
        assert load_cargo().ready == right.ready


def test_a_cache_that_cannot_be_written_is_no_error(fresh: Path) -> None:
    fresh.parent.parent.mkdir(parents=True, exist_ok=True)
    fresh.parent.write_text("a file where a folder should be")
    assert load_cargo().ready == load_cargo().ready


def test_no_more_are_kept_than_that(fresh: Path) -> None:
    for number in range(names.MOST + 3):
        names.remember(str(number), f"{number:064x}", f"{number:016x}")
    assert names.recall("2") is None
    assert names.recall("3") == (f"{3:064x}", f"{3:016x}")
    assert len(json.loads(fresh.read_bytes())["known"]) == names.MOST
