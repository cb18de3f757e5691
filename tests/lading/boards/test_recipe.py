"""An image's name says what is in it: equal recipes share one, and whatever changes an image changes its name."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest

from lading import targets
from lading.boards import rootfs
from lading.boards.recipe import Recipe, recipe_of
from lading.targets.schema import DebianEmulation


def recipe(board: str) -> Recipe:
    target = targets.find(board)
    assert isinstance(target.table.emulation, DebianEmulation)
    return recipe_of(target.table.emulation, target.storage_bytes or 0)


def test_boards_that_differ_only_in_their_machine_share_an_image() -> None:
    assert recipe("debian-arm64").digest == recipe("debian-arm64-small").digest
    assert recipe("debian-arm64").digest != recipe("debian-arm64-systemd").digest
    assert recipe("debian-arm64").digest == recipe("debian-arm64").digest


@pytest.mark.parametrize(
    "change",
    [
        {"suite": "trixie"},
        {"packages": ("bash",)},
        {"kernel": "linux-image-arm64"},
        {"modules": ()},
        {"console": "ttyS0"},
        {"disk_bytes": 1 << 30},
        {"system": "systemd"},
        {"architecture": "riscv64"},
        {"device_tree": "x.dtb"},
    ],
    ids=str,
)
def test_whatever_decides_about_an_image_decides_about_its_name(change: dict[str, object]) -> None:
    plain = recipe("debian-arm64")
    assert replace(plain, **change).digest != plain.digest  # type: ignore[arg-type]  # each is one of its fields


@pytest.mark.parametrize("written", ["a rule of the boot", "an account"])
def test_what_is_written_into_an_image_decides_too(monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    plain = recipe("debian-arm64")
    before = plain.digest
    made = rootfs.entries("busybox", "ttyAMA0")
    monkeypatch.setattr(rootfs, "entries", lambda *_: [*made, rootfs.Entry("etc/rule", written.encode())])
    assert plain.digest != before


@pytest.mark.parametrize("system", ["busybox", "systemd"])
def test_the_written_files_are_an_archive_that_names_nothing_twice(system: rootfs.System) -> None:
    data = rootfs.as_tar(rootfs.entries(system, "ttyAMA0"))
    assert data == rootfs.as_tar(rootfs.entries(system, "ttyAMA0"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: member for member in archive.getmembers()}
        assert len(members) == len(archive.getmembers())
        passwd = archive.extractfile("./etc/passwd")
        assert passwd is not None
        users = [line.split(":")[0] for line in passwd.read().decode().splitlines()]
    assert {"root", "sshd", "user", "nobody"} <= set(users)
    assert len(users) == len(set(users))
    shadow = members["./etc/shadow"]
    assert shadow.mode == 0o640, "everybody could read the hashes"
    assert members["./root/.ssh"].mode == members["./home/user/.ssh"].mode == 0o700
    assert members["./home/user/.ssh"].uid == rootfs.USER_ID


def test_nobody_gets_in_with_what_is_in_an_image() -> None:
    for entry in rootfs.entries("busybox", "ttyAMA0"):
        if entry.path == "etc/shadow":
            assert entry.content is not None
            assert all(line.split(b":")[1] == b"*" for line in entry.content.splitlines())
        assert entry.path not in (rootfs.HOST_KEY, rootfs.ROOT_KEYS, rootfs.USER_KEYS), "a secret that boards share"
