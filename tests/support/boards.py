"""Devices for bootstrap tests: homes, Pythons, file systems, and links that break."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import agent_link
from lading.client import Session
from tests.support.local_host import SYSTEM_PATH, LocalCommand, LocalHost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.bootstrap.stages import OnStage, Stage

HOME = ".local/share/lading"
TOOLS = (
    *("sh", "cat", "chmod", "cut", "df", "dirname", "env", "getconf", "grep", "head", "id", "ldd", "ls", "mkdir", "mv"),
    *("rm", "rmdir", "sleep", "sort", "tr", "uname", "unshare", "mount"),
)


def quiet(_: Stage) -> None:
    """Tell nobody."""


@contextlib.contextmanager
def session(host: LocalHost, home: str | None = None, on_stage: OnStage = quiet) -> Iterator[Session]:
    """A session with a device, set up if need be."""
    with Session(agent_link(host, home, on_stage=on_stage)) as opened:
        yield opened


def path_with(folder: Path, **programs: str | Path) -> str:
    """A ``PATH`` that leads to the usual tools and to ``programs`` by name, and to nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for tool in TOOLS:
        found = shutil.which(tool, path=SYSTEM_PATH)
        if found:
            (folder / tool).symlink_to(found)
    for name, program in programs.items():
        (folder / name).symlink_to(program)
    return str(folder)


def oldest_python() -> Path:
    """A Python of the oldest version that the agent runs on, if this machine has one."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (*versions.glob("3.9.*/bin/python3.9"), shutil.which("python3.9")):
        # A version manager's stand-in is a script that needs more of the system than a device has.
        if candidate and Path(candidate).read_bytes()[:4] == b"\x7fELF":
            return Path(candidate)
    pytest.skip("there is no Python 3.9 here")


@contextlib.contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own; needs root and the right to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("file systems can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


class CutCommand(LocalCommand):
    """A command whose link breaks after so many bytes were written to it."""

    left = 0
    cut = False

    def read(self, limit: int) -> bytes:
        """What comes, as long as the connection is there."""
        data = super().read(limit)
        if self.cut:
            raise ConnectionResetError(104, "cut")
        return data

    def write(self, data: bytes) -> None:
        """Send what still gets through."""
        if len(data) >= self.left:
            super().write(data[: self.left])
            self.left = 0
            self.cut = True
            self.end_input()  # what the server does for a client that is gone
            raise ConnectionResetError(104, "cut")
        self.left -= len(data)
        super().write(data)


class CutHost(LocalHost):
    """A device whose connection breaks after so many bytes of what its commands are sent, all together."""

    def cut_after(self, count: int) -> None:
        """Break the next link after ``count`` bytes."""
        self.left = count

    left = 1 << 60

    def start(self, command: str) -> LocalCommand:
        """Start a command over a link that will break."""
        link = CutCommand(self._words(command), self.description, self._environment())
        link.left = self.left
        return link
