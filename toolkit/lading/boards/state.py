"""What is kept of a board beside its image: one folder in the user's state folder.

::

    STATE/boards/NAME/disk.qcow2      what the board wrote, over its image
                      identity/       keys, password, known_hosts, ssh_config
                      running.json    the machine that runs: process, ports
                      suspended       there is a machine within disk.qcow2 that waits to go on
                      qmp, qemu.log, initrd
                      lock            held by the command that is at work on it
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading import datafiles
from lading.errors import BoardBusy

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK: Final = "LADING_BOARD"
"""A variable in the environment of whatever plays a board: its folder."""
LOCK_S: Final = 120.0
_POLL_S: Final = 0.1


@dataclass(frozen=True)
class Running:
    """A process that plays the board."""

    pid: int
    started: int
    """When it started, in ticks since this machine's boot: tells it from a later process of the same number."""
    image: str
    """The digest of its image; empty for a program."""
    ssh_port: int | None = None
    console_port: int | None = None
    serial: str | None = None
    """The pseudo-terminal of a program."""
    ready: bool = False
    """Whether it came up."""
    resumed: bool = False

    def alive(self) -> bool:
        """Whether that very process still runs."""
        return started_at(self.pid) == self.started


@dataclass(frozen=True)
class State:
    """A board's folder."""

    name: str
    folder: Path

    @property
    def disk(self) -> Path:
        """What the board wrote, over its image."""
        return self.folder / "disk.qcow2"

    @property
    def identity(self) -> Path:
        """The folder of its identity."""
        return self.folder / "identity"

    @property
    def qmp(self) -> Path:
        """The machine's socket."""
        return self.folder / "qmp"

    @property
    def log(self) -> Path:
        """What QEMU, or a program, said."""
        return self.folder / "qemu.log"

    @property
    def suspended(self) -> Path:
        """Is there while a machine within the disk waits to go on."""
        return self.folder / "suspended"

    def running(self) -> Running | None:
        """The process that plays the board now; None where there is none (any more)."""
        try:
            told: dict[str, Any] = json.loads((self.folder / "running.json").read_text())
            found = Running(**told)
        except (OSError, ValueError, TypeError):
            return None
        return found if found.alive() else None

    def write(self, running: Running) -> None:
        """Note the process that plays the board."""
        new = self.folder / ".running.json.new"
        new.write_text(json.dumps(asdict(running)))
        new.replace(self.folder / "running.json")

    def forget(self) -> None:
        """Note that nothing plays the board."""
        for path in (self.folder / "running.json", self.qmp):
            path.unlink(missing_ok=True)

    def strays(self) -> list[int]:
        """Processes that play the board, or were to: also of a command that was killed before it could note them."""
        mark = os.fsencode(f"{MARK}={self.folder}")
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    words = entry.joinpath("environ").read_bytes().split(b"\0")
                    if mark in words and started_at(int(entry.name)) is not None:
                        found.append(int(entry.name))
        return found

    @contextlib.contextmanager
    def lock(self, patience_s: float = LOCK_S) -> Iterator[None]:
        """Be alone at work on the board.

        Raises:
            BoardBusy: another command is, and does not end in time.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        until = time.monotonic() + patience_s
        with (self.folder / "lock").open("a+") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise BoardBusy(
                            f"{self.name}: another command is at work on this board ({self.folder / 'lock'})",
                            remedy="wait for it, or end it",
                        ) from None
                    time.sleep(_POLL_S)
            yield


def folder() -> Path:
    """Where boards are kept; it need not exist."""
    return datafiles.user_state_dir() / "boards"


def state_of(name: str) -> State:
    """A board's folder; it need not exist."""
    return State(name, folder() / name)


def started_at(pid: int) -> int | None:
    """When a process started, in ticks since this machine's boot; None where there is none.

    A killed process counts until the last of its threads has ended: they hold its files, and the locks on them, longer
    than the first one lives.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        if fields[0] in "ZX" and len(list(Path(f"/proc/{pid}/task").iterdir())) < 2:
            return None
    except OSError:
        return None
    return int(fields[19])
