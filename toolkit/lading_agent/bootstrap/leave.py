"""Before the home goes: whatever was started from it ends, and whatever would start from it again is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, List

from lading_agent.errors import AgentError

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout


def leave(layout: Layout) -> List[str]:
    """End and take back everything. The caller holds the lock.

    Returns:
        What could not be done, in words.
    """
    # All of it at once: the agent's own file goes with the home.
    from lading_agent.keep import hook, pending, runs, services, watcher
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
    watcher.end(served)
    return notes


def _try(notes: List[str], what: str, do: Callable[[], object]) -> None:
    try:
        do()
    except AgentError as error:
        notes.append(f"{what} was not taken back: {error.message} ({error.remedy})")
    except OSError as error:
        notes.append(f"{what} was not taken back: {error.strerror or error}")
