"""The agent's own server in threads of the test process, with the fake runner: sessions without a process to start."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading.client import Session
from lading_agent.serve.device import Served
from lading_agent.serve.server import Server
from lading_agent.store.layout import Layout
from lading_agent.store.steps import OnStep, Steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading_agent.runs.spec import RunSpec

FAKE_RUNNER = Path(__file__).with_name("fake_runner.py")
TARGET: dict[str, Any] = {
    "id": "test-board",
    "name": "Test board",
    "architecture": "x86_64",
    "run_memory_bytes": 64 * 1024 * 1024,
}
PROFILE: dict[str, Any] = {"id": "test-profile"}


def fake_runner(_: RunSpec) -> list[str]:
    """How the fake runner is started."""
    return [sys.executable, "-ISs", str(FAKE_RUNNER)]


def served(home: Path, on_step: OnStep | None = None, target: Mapping[str, Any] | None = None) -> Served:
    """A device with its store in ``home``."""
    return Served(Layout(home), {**TARGET, **(target or {})}, PROFILE, Steps(on_step), fake_runner)


class LocalLink:
    """A link to a server in this process: two pipes."""

    description = "emulated://test-board"

    def __init__(self, device: Served) -> None:
        agent_in, self.write_fd = os.pipe()
        self.read_fd, agent_out = os.pipe()
        self._thread = threading.Thread(target=self._serve, args=(device, agent_in, agent_out), daemon=True)
        self._thread.start()

    @staticmethod
    def _serve(device: Served, reading: int, writing: int) -> None:
        def write(data: bytes) -> None:
            view = memoryview(data)
            while view:
                view = view[os.write(writing, view) :]

        try:
            Server(device, lambda limit: os.read(reading, limit), write).serve()
        finally:
            os.close(writing)
            os.close(reading)

    def read(self, limit: int) -> bytes:
        return os.read(self.read_fd, limit)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.write_fd, view) :]

    def complaint(self) -> str:
        return ""

    def close(self) -> None:
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1
            self._thread.join(30)
            assert not self._thread.is_alive(), "the agent did not let go"
            os.close(self.read_fd)


@contextlib.contextmanager
def session(home: Path, on_step: OnStep | None = None, target: Mapping[str, Any] | None = None) -> Iterator[Session]:
    """A session with a fresh agent on the store in ``home``."""
    with Session(LocalLink(served(home, on_step, target))) as opened:
        yield opened
