"""The watcher's place in the device's start, as long as a release is pending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Tuple

from lading_agent.errors import AgentError
from lading_agent.keep import boot, files
from lading_agent.store.durable import make_dirs

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.serve.device import Served


def install(served: Served) -> Tuple[str, str]:
    """Have the watcher started with the device.

    Returns:
        ``systemd``, ``cron``, or nothing and why. The caller holds the lock.
    """
    if served.emulated:
        return "", "an emulated device does not restart"
    way, why = boot.find(served.surroundings.environment, served.layout.home)
    if way is None:
        return "", why
    make_dirs(_record(served).parent)
    files.write(_record(served), {"how": way.how})  # first: what is not written down would never be taken away
    try:
        way.install(
            _name(served), "lading: a release that waits to be confirmed", served.own_words("watch"), start=False
        )
    except AgentError as error:
        return "", error.message
    if isinstance(way, boot.Systemd) and not way.lingers():
        return way.how, f"it starts with the user's first login only, until root runs: {way.linger_remedy()}"
    return way.how, ""


def remove(served: Served) -> None:
    """Take it away again. The caller holds the lock."""
    doc = files.read(_record(served))
    if doc is None:
        return
    way, _ = boot.find(served.surroundings.environment, served.layout.home)
    if way is not None and way.how == doc.get("how"):
        way.remove(_name(served))
    files.remove(_record(served))


def _name(served: Served) -> str:
    # No app's unit has this name: theirs begin with "lading-".
    return f"lading_pending-{boot.home_mark(served.layout.home)}"


def _record(served: Served) -> Path:
    return served.layout.home / "pending" / "boot.json"
