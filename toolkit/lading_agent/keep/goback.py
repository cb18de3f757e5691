"""Going back to the release that was there before, by the device itself."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Optional

from lading_agent.keep import pending
from lading_agent.store.blobs import has_blob
from lading_agent.store.durable import remove_any
from lading_agent.store.lock import GOING_BACK, locked
from lading_agent.store.releases import INSTALLED, Releases

if TYPE_CHECKING:
    from lading_agent.keep.pending import Pending
    from lading_agent.serve.device import Served

DEVICE = {"user": "the device", "host": "itself"}
BY = "the device itself"


def look(served: Served) -> Optional[float]:
    """See to everything that is pending: what is settled goes, what is due goes back, time that was used is recorded.

    Returns:
        Seconds until something is to be done; None when nothing is pending.

    Raises:
        AgentError: ``lock-held``: somebody changes the store right now; look again a little later.
        OSError: the storage takes no more. All apps were looked at all the same.
    """
    around = served.surroundings
    nearest: Optional[float] = None
    failure: Optional[OSError] = None
    for app in pending.written(served.layout):
        found = pending.read(served.layout, app)
        if found is None or _wants_writing(found, served):
            with locked(served.layout.lock, DEVICE, GOING_BACK):
                try:
                    found = _see_to(served, app)
                except OSError as error:
                    failure = error
        if found is not None:
            left = min(found.left(around), found.record_every_s)
            nearest = left if nearest is None else min(nearest, left)
    if failure is not None:
        raise failure
    return nearest


def _wants_writing(found: Pending, served: Served) -> bool:
    around = served.surroundings
    if found.verdict(around) or found.boot_id != around.boot_id():
        return True
    return around.clock() - found.at_s >= found.record_every_s


def _see_to(served: Served, app: str) -> Optional[Pending]:
    """What :func:`look` does for one app, under the lock, from what is written down by now."""
    layout, around = served.layout, served.surroundings
    found = pending.read(layout, app)
    if found is None:
        pending.settle(layout, app)
        return None
    why = found.verdict(around)
    if why:
        go_back(served, app, found, why)
        return None
    if _wants_writing(found, served):
        found = found.recorded(around)
        pending.write(layout, app, found)
    return found


def go_back(served: Served, app: str, found: Optional[Pending], why: str) -> Optional[str]:
    """Make the earlier release current and say why in the history. The caller holds the lock.

    Args:
        served: the device.
        app: the app.
        found: what is pending; None goes back to where a rollback would.
        why: for people.

    Returns:
        The release that is current now; None when there is nothing to go back to, and the current one stays.
    """
    layout, steps = served.layout, served.steps
    releases = Releases(layout, app)
    current = releases.current()
    to = found.previous if found is not None else releases.previous()
    if to is None or not _is_whole(served, app, to):
        if found is not None:
            releases.remember(found.release, "kept", BY, f"{why}, but {to} is not whole on the device any more")
            pending.settle(layout, app)
        return None
    steps.reach("revert-mark")
    if found is not None and found.state != pending.REVERTING:
        found = replace(found, state=pending.REVERTING, why=why, replaced=None)
        # It only tells the history why, should we be interrupted. A release that fills the storage is gone back from.
        with contextlib.suppress(OSError):
            pending.write(layout, app, found)
    if current != to:
        releases.switch(to, steps)
    steps.reach("revert-history")
    remembered = _remember(releases, to, why)
    steps.reach("revert-settle")
    pending.settle(layout, app)
    if not remembered:
        _remember(releases, to, why)  # there may be room for it now
    remove_any(layout.intent(app))
    return to


def _remember(releases: Releases, to: str, why: str) -> bool:
    """Say in the history, once, that the device went back; False where there is no room for it."""
    history = releases.history()
    if not history or history[-1].get("release") != to or history[-1].get("action") != "revert":
        try:
            releases.remember(to, "revert", BY, why)
        except OSError:
            return False
    return True


def _is_whole(served: Served, app: str, release: str) -> bool:
    found = Releases(served.layout, app).read(release)
    return (
        found is not None
        and found.state == INSTALLED
        and all(has_blob(served.layout, digest, size) for digest, size in found.blobs.items())
    )
