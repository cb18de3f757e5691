"""Models by path are found in what was opened for the guest, and nowhere else on the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading_agent.nn.places import Places
from lading_agent.runs.spec import DirSpec
from tests.support.script_guest import SIX, Script, model

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """``opened`` with a model, and one beside it that nobody opened."""
    for folder in ("opened/deep", "folder", "secret"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("opened/a.tflite", "opened/deep/b.tflite", "folder/c.tflite", "secret/s.tflite"):
        (tmp_path / path).write_bytes(model("x_f32"))
    (tmp_path / "opened/link").symlink_to("deep/b.tflite")
    (tmp_path / "opened/out").symlink_to("../secret/s.tflite")
    (tmp_path / "opened/way").symlink_to("../secret")
    os.mkfifo(tmp_path / "opened/pipe")
    return tmp_path


def places(machine: Path, guest: str = "/data", *, folder: bool = True) -> Places:
    return Places(str(machine / "folder") if folder else "", (DirSpec(str(machine / "opened"), guest),))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/data/a.tflite", "opened/a.tflite"),
        ("/data//deep/./b.tflite", "opened/deep/b.tflite"),
        ("/data/deep/../a.tflite", "opened/a.tflite"),
        ("/data/link", "opened/deep/b.tflite"),
        ("c.tflite", "folder/c.tflite"),
        ("../folder/c.tflite", "folder/c.tflite"),
    ],
)
def test_what_is_opened_is_found(machine: Path, name: str, found: str) -> None:
    assert places(machine).find(name.encode()) == machine / found


def test_the_machine_s_own_path_of_an_opened_file_is_found(machine: Path) -> None:
    for known in ("opened/a.tflite", "folder/c.tflite"):
        assert places(machine).find(str(machine / known).encode()) == machine / known


def test_a_directory_that_stands_for_itself_takes_relative_names(machine: Path) -> None:
    assert places(machine, ".").find(b"deep/b.tflite") == machine / "opened/deep/b.tflite"
    assert places(machine).find(b"deep/b.tflite") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "/",
        "/data",
        "/data/",
        "/data/deep",
        "/data/pipe",
        "/data/out",
        "/data/way/s.tflite",
        "/data/../secret/s.tflite",
        "/data/deep/../../secret/s.tflite",
        "../secret/s.tflite",
        "../opened/a.tflite",
        "/etc/hostname",
        "/data/a.tflite\0",
        "/datax/a.tflite",
        "nosuch",
        "x" * 5000,
    ],
)
def test_everything_else_is_not(machine: Path, name: str) -> None:
    assert places(machine).find(name.encode()) is None


def test_nor_is_the_absolute_path_of_what_nobody_opened(machine: Path) -> None:
    assert places(machine).find(str(machine / "secret/s.tflite").encode()) is None
    assert places(machine).find(b"/data/\xff\xfe") is None


def test_a_place_behind_a_link_is_a_place(machine: Path) -> None:
    (machine / "alias").symlink_to("opened")
    found = Places("", (DirSpec(str(machine / "alias"), "/d"),)).find(b"/d/a.tflite")
    assert found == machine / "opened/a.tflite"


@pytest.mark.parametrize(
    ("name", "errno"),
    [
        (b"c.tflite\0", 0),
        (b"/data/a.tflite\0", 0),
        (b"/data/out\0", 7),
        (b"../secret/s.tflite\0", 7),
        (b"/etc/hostname\0", 7),
        (b"c.tflite", 1),
    ],
)
def test_a_guest_meets_only_those(machine: Path, name: bytes, errno: int) -> None:
    script = Script(SIX)
    handle, at = script.put(b"\xee" * 4), script.put(name + b"Z")
    script.call("load_by_name", at, len(name.rstrip(b"\0")), handle)
    ran = script.run(
        machine,
        profiles.find("wamr-2.4").resolved(),
        dirs=(DirSpec(str(machine / "opened"), "/data"),),
        names_dir=str(machine / "folder"),
    )
    assert ran.errnos == [errno]
    assert ran.u32(handle) == (0xEEEEEEEE if errno == 1 else 0)
