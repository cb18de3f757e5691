"""The command lines of boards: what keeps them to themselves, and what makes them quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading import targets
from lading.boards.arguments import Ports, machine
from lading.boards.image import Image
from lading.targets.schema import DebianEmulation

if TYPE_CHECKING:
    from pathlib import Path

BOARDS = [t.id for t in targets.all_targets() if isinstance(t.table.emulation, DebianEmulation)]


def words(board: str, folder: Path, *, resume: bool = False) -> list[str]:
    target = targets.find(board)
    emulation = target.table.emulation
    assert isinstance(emulation, DebianEmulation)
    return machine(
        "/usr/bin/qemu",
        emulation,
        name=board,
        memory_bytes=target.memory_bytes or 0,
        cores=target.table.cpu.cores,
        image=Image(folder, "0" * 32),
        disk=folder / "a,b" / "disk.qcow2",
        initrd=folder / "initrd",
        ports=Ports(4022, 4023),
        resume=resume,
    )


def after(found: list[str], option: str) -> list[str]:
    return [found[at + 1] for at, word in enumerate(found) if word == option]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_listens_on_this_machine_alone_and_gets_nowhere(board: str, tmp_path: Path) -> None:
    found = words(board, tmp_path)
    assert after(found, "-netdev") == ["user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:4022-:22"]
    assert [text for text in after(found, "-chardev") if "host=" in text] == [
        "socket,id=uart,host=127.0.0.1,port=4023,server=on,wait=off,nodelay=on"
    ]
    assert all(text.startswith("unix:") for text in after(found, "-qmp"))
    assert "-nodefaults" in found
    assert "-no-user-config" in found


def test_memory_and_cores_are_the_targets(tmp_path: Path) -> None:
    found = words("debian-arm64-small", tmp_path)
    assert (after(found, "-m"), after(found, "-smp"), after(found, "-cpu")) == (["256M"], ["2"], ["cortex-a53"])


def test_a_comma_in_a_path_is_no_option(tmp_path: Path) -> None:
    drive = after(words("debian-arm64", tmp_path), "-drive")[0]
    assert f"file={tmp_path}/a,,b/disk.qcow2" in drive


def test_a_suspended_machine_goes_on(tmp_path: Path) -> None:
    plain, resumed = words("debian-arm64", tmp_path), words("debian-arm64", tmp_path, resume=True)
    assert resumed == [*plain, "-loadvm", "suspended"]


def test_a_device_tree_is_given_where_the_image_has_one(tmp_path: Path) -> None:
    assert "-dtb" not in words("raspi3b", tmp_path)
    (tmp_path / "device.dtb").write_bytes(b"tree")
    found = words("raspi3b", tmp_path)
    assert after(found, "-dtb") == [str(tmp_path / "device.dtb")]
    assert after(found, "-machine") == ["raspi3b"]
    assert any(text.startswith("if=sd,") for text in after(found, "-drive"))
