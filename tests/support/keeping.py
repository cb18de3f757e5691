"""Devices whose agent leaves processes behind, and waiting for what these do."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lading.client import Session
from lading.links.emulated import open_emulated
from lading_agent.keep import pending, runs, service_state
from lading_agent.store.layout import Layout
from tests.support.local_agent import PROFILE, TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENT = Path(__file__).with_name("keeping_agent.py")
PATIENCE_S = 60.0
T = TypeVar("T")


def eventually(look: Callable[[], T]) -> T:
    """Wait until ``look`` says yes, and return what it said."""
    until = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)
    return found


class Board:
    """A device in a folder, with an agent that is a process of its own."""

    def __init__(self, folder: Path, pace: str = "0.01,30") -> None:
        self.home = folder / "home"
        self.layout = Layout(self.home)
        self.boot = folder / "boot"
        self.boot.write_text("first-boot", encoding="ascii")
        self.command = [sys.executable, str(AGENT), "--boot", str(self.boot), "--pace", pace]

    @contextlib.contextmanager
    def session(self, *more: str) -> Iterator[Session]:
        """A session with its agent."""
        link = open_emulated(self.home, TARGET, PROFILE, "emulated://test-board", [*self.command, *more])
        with Session(link) as opened:
            yield opened

    def current(self, app: str = "echo") -> str | None:
        """The id of the current release."""
        from lading_agent.store.releases import Releases

        return Releases(self.layout, app).current()

    def history(self, app: str = "echo") -> list[str]:
        """What happened to the app, in words."""
        from lading_agent.store.releases import Releases

        return [str(entry["action"]) for entry in Releases(self.layout, app).history()]

    def processes(self) -> list[int]:
        """Every process that the agent left behind and that is still there."""
        return sorted(pid for pid, words in _commands() if str(self.home).encode() in words)

    def kill_all_but(self, spared: int) -> None:
        """End what was left behind by force, and leave one process alone."""
        for pid in set(self.processes()) - {spared}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """What a power cut does."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: not self.processes())

    def restart(self, boot: str) -> None:
        """What a restart of the device does; nothing is started by it."""
        self.kill_all()
        self.boot.write_text(boot, encoding="ascii")

    def end(self) -> None:
        """End everything that was left behind, as it is meant to be ended."""
        for app in self.layout.app_names():
            for run in runs.running(self.layout, app):
                if run.process is not None:
                    run.process.end(10)
            status = service_state.read(self.layout, app)
            if status is not None and status.process is not None:
                status.process.end(10)
            pending.settle(self.layout, app)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self.processes())
        left = self.processes()
        self.kill_all()
        assert not left, "processes were left behind"


def _commands() -> Iterator[tuple[int, list[bytes]]]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                words = (path / "cmdline").read_bytes().split(b"\0")
                if words != [b""]:  # what is left of one that ended has none
                    yield int(path.name), words
