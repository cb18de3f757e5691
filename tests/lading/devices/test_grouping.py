"""Groups in devices.toml, made by the command: nothing else in the file changes, and no group contains itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.devices import grouping, registry, resolve_many
from lading.errors import AddressError, DataFileError, NameNotFound, UsageError

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """\
schema = 1  # mine
[device.left]
address = "emulated://raspberry-pi-4b?name=left"

# the other one
[device.right]
address = "emulated://raspberry-pi-4b?name=right"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "devices.toml").write_text(TEXT)
    return folder


def add(project: Path, name: str, *members: str) -> tuple[str, ...]:
    return grouping.add(name, members, file=project / "devices.toml", project_dir=project).members


def test_members_come_and_go(project: Path) -> None:
    assert add(project, "bench", "left") == ("left",)
    assert add(project, "bench", "right", "left", "emulated://x86-64") == ("left", "right", "emulated://x86-64")
    assert [d.name for d in resolve_many(["bench"], project)][:2] == ["left", "right"]
    text = (project / "devices.toml").read_text()
    assert text.startswith(TEXT.rstrip("\n"))
    assert grouping.remove("bench", ["left"], project_dir=project).members == ("right", "emulated://x86-64")
    assert grouping.remove("bench", [], project_dir=project).members == ()
    assert (project / "devices.toml").read_text().rstrip("\n") == TEXT.rstrip("\n")
    assert registry.load(project).groups == {}


def test_the_last_member_takes_the_group_with_it(project: Path) -> None:
    add(project, "bench", "left")
    assert grouping.remove("bench", ["left"], project_dir=project).members == ()
    assert registry.load(project).groups == {}


def test_groups_of_groups_that_lead_to_themselves_are_refused(project: Path) -> None:
    add(project, "one", "left")
    add(project, "two", "one", "right")
    for members in (("two",), ("one",)):
        with pytest.raises(UsageError, match="contain itself"):
            add(project, "one", *members)
    with pytest.raises(UsageError, match="one is a member of two"):
        grouping.remove("one", [], project_dir=project)


def test_what_means_nothing_is_refused_and_nothing_is_written(project: Path) -> None:
    before = (project / "devices.toml").read_text()
    with pytest.raises(NameNotFound):
        add(project, "bench", "attic")
    with pytest.raises(AddressError):
        add(project, "bench", "gopher://x")
    with pytest.raises(DataFileError, match="is a device"):
        add(project, "left", "right")
    with pytest.raises(DataFileError, match="cannot be a name"):
        add(project, "not a name", "right")
    with pytest.raises(UsageError, match="nothing is given"):
        add(project, "bench")
    with pytest.raises(NameNotFound, match="no group named 'bench'"):
        grouping.remove("bench", [], project_dir=project)
    add(project, "bench", "left")
    with pytest.raises(UsageError, match="right is not in bench"):
        grouping.remove("bench", ["right"], project_dir=project)
    grouping.remove("bench", [], project_dir=project)
    assert (project / "devices.toml").read_text().rstrip("\n") == before.rstrip("\n")
