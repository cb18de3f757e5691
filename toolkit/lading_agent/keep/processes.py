"""Processes that outlive whoever started them: how they begin, how they are known again, how they are ended."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence

from lading_agent.errors import AgentError
from lading_agent.store.lock import boot_id

START_PATIENCE_S = 60.0
POLL_S = 0.02


@dataclass(frozen=True)
class Identity:
    """One process, and no later one that was given its number: number, start and boot together."""

    pid: int
    start: int
    """When it started, in the kernel's ticks since the boot."""
    boot_id: str

    def to_json(self) -> Dict[str, Any]:
        """A JSON-ready document."""
        return asdict(self)

    @classmethod
    def from_json(cls, doc: Any) -> Optional[Identity]:
        """Read a document written by :meth:`to_json`; None where it is none."""
        try:
            found = cls(doc["pid"], doc["start"], doc["boot_id"])
        except (KeyError, TypeError):
            return None
        return found if type(found.pid) is int and type(found.start) is int and found.pid > 1 else None

    def alive(self) -> bool:
        """Whether that very process is there and has not ended."""
        return self.boot_id == boot_id() and _start_of(self.pid) == self.start

    def tell(self, number: int) -> bool:
        """Send it a signal; False when it is gone."""
        if not self.alive():
            return False
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.pid, number)
            return True
        return False

    def end(self, patience_s: float) -> bool:
        """Ask it to end, and kill it when it does not; False when it was gone already."""
        if not self.tell(signal.SIGTERM):
            return False
        until = time.monotonic() + patience_s
        while self.alive():
            if time.monotonic() >= until:
                self.tell(signal.SIGKILL)
                until = time.monotonic() + patience_s
            time.sleep(POLL_S)
        return True


def myself() -> Identity:
    """This process."""
    return Identity(os.getpid(), _start_of(os.getpid()) or 0, boot_id())


def _start_of(pid: int) -> Optional[int]:
    """When a process started; None when there is none of that number, or only what is left of one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    if not fields or fields[0] in (b"Z", b"X"):
        return None
    return int(fields[19])


def launch(command: Sequence[str], environment: Mapping[str, str], request: Mapping[str, Any]) -> Dict[str, Any]:
    """Start a process that goes on without us; it calls :func:`detach` and then :class:`Word`.

    Args:
        command: the program and its words.
        environment: what it is given.
        request: one JSON object for its standard input, where no other user of the device can read it.

    Returns:
        What it said when it was ready.

    Raises:
        AgentError: it said no, or did not start.
    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env=dict(environment),
        )
    except OSError as error:
        raise AgentError(
            "agent-failed", f"{command[0]} cannot be started: {error.strerror}", "bring the agent to the device again"
        ) from error
    try:
        said, complaint = process.communicate(json.dumps(dict(request)).encode(), START_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AgentError("agent-failed", "the keeping process did not get ready", "is the device overloaded?") from None
    try:
        word = json.loads(said)
        failure = word.get("error")
    except (ValueError, AttributeError):
        last = complaint.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise AgentError(
            "agent-failed",
            "the keeping process ended before it was ready" + (f": {last[0][:300]}" if last else ""),
            "look at the device's memory and storage",
        ) from None
    if isinstance(failure, dict):
        raise AgentError(
            str(failure.get("code")), str(failure.get("message")), str(failure.get("remedy")), failure.get("details")
        )
    return dict(word)


def detach() -> None:
    """Leave whoever started this process: it goes on, in a session of its own, when they end.

    To be called before any thread is started.
    """
    if os.fork():
        os._exit(0)
    with contextlib.suppress(OSError):
        os.setsid()


def asked_to_detach() -> bool:
    """Whether an agent started us with :func:`launch`, to go on without it; a system's start wants us to stay."""
    try:
        if os.isatty(0):
            return False
        return bool(json.loads(sys.stdin.buffer.read(4096)).get("detach"))
    except (ValueError, AttributeError, OSError):
        return False


def say(word: Mapping[str, Any]) -> None:
    """Tell whoever started this process that it is ready, or why not, and let go of what they read and write."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(dict(word)).encode() + b"\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
