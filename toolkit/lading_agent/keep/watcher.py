"""The process that goes back to the earlier release when nobody confirms the new one, without any connection."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from typing import TYPE_CHECKING, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import goback, hook, pending, processes
from lading_agent.keep.detached import STOP_PATIENCE_S, stop_signals
from lading_agent.store.durable import make_dirs
from lading_agent.store.lock import GOING_BACK, locked

if TYPE_CHECKING:
    from lading_agent.serve.device import Served

POLL_S = 0.5
LOCK_PATIENCE_S = 0.5


def ensure(served: Served) -> None:
    """Have a watcher; there may be one already.

    Raises:
        AgentError: none can be started.
    """
    if not _is_watched(served):
        processes.launch(served.own_words("watch"), served.surroundings.environment, {"detach": True})


def end(served: Served) -> bool:
    """End the watcher, whatever is pending; False when it did not run."""
    try:
        doc = json.loads((served.layout.home / "pending" / "lock").read_bytes()[:4096])
    except (OSError, ValueError):
        return False
    watching = processes.Identity.from_json(doc)
    return watching is not None and watching.end(STOP_PATIENCE_S)


def watch(served: Served) -> int:
    """Be the watcher, until nothing is pending.

    Returns:
        An exit status.
    """
    if processes.asked_to_detach():
        processes.detach()
    stop = stop_signals()
    make_dirs(served.layout.home / "pending")
    fd = os.open(served.layout.home / "pending" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _is_ours(fd):
        processes.say({"watch": "already"})
        return 0
    with contextlib.suppress(OSError):  # without room nobody can end it but by its number
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(processes.myself().to_json()).encode(), 0)
    processes.say({"watch": "started"})
    while not stop():
        if _look(served) is None and _is_over(served, fd):
            break
        time.sleep(POLL_S)
    return 0


def _is_ours(fd: int) -> bool:
    """Take the watcher's lock; whoever only asks whether it is held lets go of it at once."""
    until = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def _look(served: Served) -> Optional[float]:
    try:
        return goback.look(served)
    except (AgentError, OSError):
        return 0.0  # somebody is at work, or the disk is full: again a little later


def _is_over(served: Served, fd: int) -> bool:
    """Whether nothing is pending, with the certainty that whoever makes it so starts a watcher of its own."""
    try:
        with locked(served.layout.lock, goback.DEVICE, GOING_BACK):
            if pending.written(served.layout):
                return False
            with contextlib.suppress(AgentError, OSError):
                hook.remove(served)
            fcntl.flock(fd, fcntl.LOCK_UN)
            return True
    except (AgentError, OSError):
        return False


def _is_watched(served: Served) -> bool:
    try:
        fd = os.open(served.layout.home / "pending" / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
