"""What this machine lacks is said by name, with the line that installs it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading.boards import control, programs, survey
from lading.errors import BoardUnavailable, NameNotFound, NameNotUnique

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A ``PATH`` with nothing on it but programs that say what a test wants."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(programs, "PLACES", ())

    def put(name: str, says: str = "", status: int = 0) -> Path:
        file = folder / name
        file.write_text(f"#!/bin/sh\n/bin/cat <<'EOF'\n{says}\nEOF\nexit {status}\n")
        file.chmod(0o755)
        return file

    return put


def test_all_that_is_missing_is_named_at_once(path: Callable[..., Path]) -> None:
    path("qemu-img")
    with pytest.raises(BoardUnavailable) as caught:
        programs.need(
            ("qemu-system-aarch64", "qemu-img", "mmdebstrap"), "a-board", files=((Path("/no/keyring.gpg"), "keys"),)
        )
    assert "qemu-system-aarch64, mmdebstrap, /no/keyring.gpg are not installed" in caught.value.message
    assert caught.value.remedy == "install with: sudo apt-get install qemu-system-arm mmdebstrap keys"
    assert caught.value.details["missing"] == ["qemu-system-aarch64", "mmdebstrap"]


def test_programs_of_root_are_found_by_other_users(path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    made = path("mke2fs")
    monkeypatch.setenv("PATH", "/nowhere")
    assert programs.find("mke2fs") is None
    monkeypatch.setattr(programs, "PLACES", (str(made.parent),))
    assert programs.find("mke2fs") == str(made)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)", (7, 2, 22)),
        ("QEMU emulator version 10.0.2", (10, 0, 2)),
        ("something else", ()),
    ],
)
def test_versions_are_read(path: Callable[..., Path], said: str, version: tuple[int, ...]) -> None:
    assert programs.version(str(path("qemu-system-aarch64", said))) == version


def test_a_machine_that_this_qemu_does_not_have_is_refused(path: Callable[..., Path]) -> None:
    old = str(path("qemu-system-aarch64", "QEMU emulator version 7.2.22"))
    programs.need_version(old, None, "raspi4b")
    programs.need_version(old, "7.2", "raspi4b")
    with pytest.raises(BoardUnavailable, match=r"needs QEMU 9\.0 or later.*is 7\.2\.22") as caught:
        programs.need_version(old, "9.0", "raspi4b")
    assert "backports" in caught.value.remedy
    new = str(path("qemu-system-aarch64", "QEMU emulator version 10.0.2"))
    programs.need_version(new, "9.0", "raspi4b")
    odd = str(path("qemu-system-aarch64", "hello", 3))
    with pytest.raises(BoardUnavailable, match="unknown version"):
        programs.need_version(odd, "9.0", "raspi4b")


def test_neither_root_nor_a_user_namespace(path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BoardUnavailable, match="neither as root nor in a user namespace") as caught:
        programs.as_root("a-board")
    assert "/etc/subuid" in caught.value.remedy
    path("unshare", status=1)
    with pytest.raises(BoardUnavailable, match="unshare fails"):
        programs.as_root("a-board")
    made = path("unshare")
    mode, words = programs.as_root("a-board")
    assert (mode, words[0]) == ("unshare", str(made))
    assert subprocess.run([*words, "true"], check=False).returncode == 0
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert programs.as_root("a-board") == ("root", ())


def test_a_board_says_what_it_lacks(path: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    missing = survey.missing(control.find("debian-arm64"))
    assert missing is not None
    assert "qemu-system-arm qemu-utils" in missing.remedy
    for name in ("qemu-system-aarch64", "qemu-img", "mmdebstrap", "mke2fs", "tar"):
        path(name, "QEMU emulator version 7.2.22")
    monkeypatch.setattr(programs, "KEYRING", tmp_path)
    assert survey.missing(control.find("debian-arm64")) is None
    missing = survey.missing(control.find("raspi4b"))
    assert missing is not None
    assert "9.0" in missing.message


def test_names_of_boards() -> None:
    assert control.find("raspi3").name == "raspi3b"
    with pytest.raises(NameNotUnique):
        control.find("debian")
    with pytest.raises(NameNotFound, match="there is no board named 'raspberry-pi-4b'"):
        control.find("raspberry-pi-4b")
    assert all(target.table.emulation is not None for target in control.boards())
