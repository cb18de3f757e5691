"""Real boards for tests: built once for all tests, run by the command itself, gone at the end."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lading.boards.state import MARK
from lading.devices.address import Ssh, parse
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from tests.support.board_watch import watch
from tests.support.command import Lading
from tests.support.examples import ROOT
from tests.support.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.links.host import SshHost

PROGRAMS = ("qemu-system-aarch64", "qemu-img", "mmdebstrap", "mke2fs", "ssh")
CACHE = ROOT / "build" / "board-cache"
"""Images and engines, for all tests and all their runs."""


def need_boards() -> None:
    """Skip a test on a machine that cannot run boards; in CI it fails."""
    for program in PROGRAMS:
        need(program)
    if os.geteuid() != 0:
        tried = subprocess.run(
            ["unshare", "--user", "--map-root-user", "--map-auto", "true"], capture_output=True, check=False
        )
        if tried.returncode:
            pytest.skip("neither root nor a user namespace: no image can be built")


@dataclass
class QemuBoard:
    """A board that the command brought up, or did."""

    lading: Lading
    name: str
    said: dict[str, Any] = field(default_factory=dict)
    """What ``lading board up --json`` said."""

    @property
    def address(self) -> str:
        """Its address as a device."""
        return f"board://{self.name}"

    @property
    def folder(self) -> Path:
        """What is kept of it."""
        return Path(self.lading.environment()["XDG_STATE_HOME"]) / "lading" / "boards" / self.name

    def up(self, *words: str) -> QemuBoard:
        """Have it run."""
        self.said = self.lading.json("board", "up", self.name, *words)
        return self

    def power_cut(self) -> None:
        """Have it stop."""
        self.lading("board", "power-cut", self.name)

    def host(self, user: str | None = None) -> SshHost:
        """Its SSH, for tests that speak it themselves."""
        address = parse(self.said["addresses"]["ssh"])
        assert isinstance(address, Ssh)
        if user is not None:
            address = Ssh(address.host, user, address.port)
        return open_host(address, options=Options(Places(self.folder, Path(self.said["ssh_config"]))))

    def run(self, command: str, user: str | None = None, timeout_s: float = 120) -> str:
        """What a command prints there; it has to end well."""
        with self.host(user) as host:
            done = host.run(command, timeout_s=timeout_s)
        assert done.status == 0, (command, done)
        return done.stdout.decode()


def command(folder: Path) -> Lading:
    """The command, at home in a folder of the test; images and engines are those of all tests."""
    for name in ("home", "here"):
        (folder / name).mkdir(exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    watch(folder / "home")
    return Lading(folder / "home", folder / "here", {"XDG_CACHE_HOME": str(CACHE)}, patience_s=900)


@contextlib.contextmanager
def raised(name: str, folder: Path) -> Iterator[QemuBoard]:
    """A board that runs while the context does; nothing of it runs afterwards."""
    need_boards()
    board = QemuBoard(command(folder), name)
    try:
        yield board.up()
    finally:
        board.power_cut()
        assert players(board) == []


def players(board: QemuBoard) -> list[int]:
    """The processes that play a board."""
    mark = os.fsencode(f"{MARK}={board.folder}")
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in entry.joinpath("environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
