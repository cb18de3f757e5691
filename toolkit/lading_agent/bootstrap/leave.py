"""Before the home goes: whatever was started from it ends, and whatever would start from it again is taken back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING, Callable, List

from lading_agent.errors import AgentError

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.store.layout import Layout

WATCHER_PATIENCE_S = 15.0


def leave(layout: Layout) -> List[str]:
    """End and take back everything. The caller holds the lock.

    Returns:
        What could not be done, in words.
    """
    # All of it at once: the agent's own file goes with the home.
    from lading_agent.keep import hook, pending, runs, services
    from lading_agent.keep.detached import STOP_PATIENCE_S
    from lading_agent.serve.stdio import open_served

    try:
        served = open_served(layout.home)
    except AgentError as error:
        return [error.message]
    notes: List[str] = []
    for app in layout.app_names():
        _try(notes, f"the service of {app}", lambda app=app: services.disable(served, app))  # type: ignore[misc]
        for run in runs.running(layout, app):
            if run.process is not None:
                run.process.end(STOP_PATIENCE_S)
        pending.settle(layout, app)
    _try(notes, "the watcher's place in the device's start", lambda: hook.remove(served))
    if not _watcher_has_ended(served):
        notes.append("the watcher over unconfirmed releases still runs: it ends with the device's next start")
    return notes


def _try(notes: List[str], what: str, do: Callable[[], object]) -> None:
    try:
        do()
    except AgentError as error:
        notes.append(f"{what} was not taken back: {error.message} ({error.remedy})")
    except OSError as error:
        notes.append(f"{what} was not taken back: {error.strerror or error}")


def _watcher_has_ended(served: Served) -> bool:
    """Wait for the watcher, which holds a lock while it is there: nothing is pending any more, so it goes."""
    try:
        fd = os.open(served.layout.home / "pending" / "lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return True
    with contextlib.closing(os.fdopen(fd, "rb+", 0)):
        until = time.monotonic() + WATCHER_PATIENCE_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    return False
                time.sleep(0.05)
            else:
                return True
