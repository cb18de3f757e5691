"""A device that has nothing but a console: a real shell on a pseudo terminal, at the end of a simulated line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class SimulatedLine:
    """:mod:`tests.support.line_simulator` at work."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.line_simulator", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        )
        assert self._process.stdout is not None
        ends = json.loads(self._process.stdout.readline())
        self.computer: str = ends["computer"]
        self.device: str = ends["device"]

    def tell(self, command: str) -> None:
        """``cut``, ``cut-after N``, ``cut-back-after N``, ``mend``."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def close(self) -> dict[str, int]:
        """End it; what it carried."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        last = self._process.stdout.readline()
        self._process.stdout.close()
        self._process.wait(10)
        return dict(json.loads(last)) if last else {}


class ConsoleProgram:
    """A program whose controlling terminal is a line's end: a shell, a login. When it ends it is started again."""

    def __init__(self, terminal: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.closerange(3, 1024)
                while True:  # as init and getty do
                    _in_a_child(terminal, command, env)
                    time.sleep(0.1)
            finally:
                os._exit(127)

    def kill(self) -> None:
        """The power is cut: it and all that runs on its terminal. Nothing that ends may start something else."""
        victims = session_of(self.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _in_a_child(terminal: str, command: Sequence[str], env: Mapping[str, str]) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            fd = os.open(terminal, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(fd, number)
            if fd > 2:
                os.close(fd)
            os.chdir(env["HOME"])  # what a broken line types by accident must not hit anything
            subprocess.run(["stty", "sane", "115200"], check=False)
            os.execvpe(command[0], list(command), dict(env))
        finally:
            os._exit(127)
    os.waitpid(pid, 0)


def session_of(leader: int) -> list[int]:
    """The processes of a session, and their descendants in sessions of their own, the leader first."""
    parents: dict[int, int] = {}
    sessions: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)], sessions[int(entry.name)] = int(fields[1]), int(fields[3])
    found = {pid for pid, session in sessions.items() if session == leader}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            break
        found |= more
    return [leader, *sorted(found - {leader})]


class ConsoleDevice:
    """A shell (or a login) at the end of a line, with a home of its own."""

    def __init__(self, home: Path, *line: str, command: Sequence[str] = ("bash", "-l"), **env: str) -> None:
        self.home = home
        self.command = command
        home.mkdir(parents=True, exist_ok=True)
        self.line = SimulatedLine(*line)
        self.env = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "TERM": "vt100",
            "PS1": "board$ ",
            "USER": "pi",
            **env,
        }
        self.program = ConsoleProgram(self.line.device, command, self.env)

    @property
    def address(self) -> str:
        """Where a client reaches it."""
        return f"serial://{self.line.computer}"

    def power_cycle(self) -> None:
        """Kill everything and start again."""
        self.program.kill()
        self.program = ConsoleProgram(self.line.device, self.command, self.env)

    def close(self) -> None:
        """End it all."""
        self.program.kill()
        self.line.close()


def wait_until(true: object, what: str, seconds: float = 20.0) -> None:
    """Poll until something is so."""
    until = time.monotonic() + seconds
    assert callable(true)
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)
