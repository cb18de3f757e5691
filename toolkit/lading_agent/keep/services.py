"""Enabling and disabling services: what is written where, and taken away again."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from lading_agent.errors import AgentError
from lading_agent.keep import boot, service, service_state
from lading_agent.keep.detached import STOP_PATIENCE_S
from lading_agent.keep.service_state import Enabled
from lading_agent.store.durable import make_dirs
from lading_agent.store.releases import Releases, now

if TYPE_CHECKING:
    from lading_agent.keep.boot import Boot
    from lading_agent.serve.device import Served

AGENT = "agent"


def enable(served: Served, app: str) -> List[str]:
    """Have the current release start with the device, and now. The caller holds the lock.

    Returns:
        What somebody has to do besides, in words.

    Raises:
        AgentError: ``no-service``: the device has no way to start it.
    """
    Releases(served.layout, app).require_current()
    before = service_state.enabled(served.layout, app)
    notes: List[str] = []
    way = None if served.emulated else _way(served)
    make_dirs(service_state.folder(served.layout, app))
    linger_is_ours = before.linger_is_ours if before is not None else False
    if isinstance(way, boot.Systemd):
        linger_is_ours, notes = _linger(way, linger_is_ours)
    how = way.how if way is not None else AGENT
    # First: what is not written down would never be taken away.
    service_state.write_enabled(served.layout, app, Enabled(how, now(), linger_is_ours))
    try:
        if way is not None:
            way.install(_name(app), f"lading: {app}", [*served.own_words("service"), "--app", app], start=True)
        if not isinstance(way, boot.Systemd):
            service.start(served, app)
    except BaseException:
        if before is None:
            _undo(served, app, way)
        raise
    return notes


def disable(served: Served, app: str) -> bool:
    """Take everything away that :func:`enable` made, its log too. The caller holds the lock.

    Returns:
        Whether there was anything.
    """
    found = service_state.enabled(served.layout, app)
    if found is None and not service_state.folder(served.layout, app).exists():
        return False
    way = None
    if found is None:
        _remove_unnoted(served, app)
    elif found.how != AGENT:
        way = _way(served, found.how)
        way.remove(_name(app))
    stop(served, app)
    _forget(served, app)
    if isinstance(way, boot.Systemd) and found is not None and found.linger_is_ours:
        _hand_on_linger(served, way)
    return True


def stop(served: Served, app: str) -> bool:
    """End a service's loop and its guest; it stays enabled. False when it did not run."""
    found = service_state.enabled(served.layout, app)
    status = service_state.read(served.layout, app)
    if found is not None:
        stopped = replace(found, stopped_boot=served.surroundings.boot_id())
        service_state.write_enabled(served.layout, app, stopped)
    return status is not None and status.process is not None and status.process.end(STOP_PATIENCE_S)


def attend(served: Served) -> None:
    """Start what should run and does not, where no system of the device's does so.

    Raises:
        AgentError: one could not be started; the others were tried.
    """
    failure: Optional[AgentError] = None
    for app in served.layout.app_names():
        found = service_state.enabled(served.layout, app)
        if found is None or found.how == boot.Systemd.how or found.stopped_boot == served.surroundings.boot_id():
            continue
        if not service_state.is_kept(served.layout, app):
            try:
                service.start(served, app)
            except AgentError as error:
                failure = error
    if failure is not None:
        raise failure


def told(served: Served, app: str, *, briefly: bool = False) -> Dict[str, Any]:
    """What clients are told of a service; ``briefly`` asks nothing of the device's system."""
    found = service_state.enabled(served.layout, app)
    status = service_state.read(served.layout, app)
    where: Optional[str] = None
    linger: Optional[bool] = None
    if found is not None and found.how != AGENT and not briefly:
        way, _ = boot.find(served.surroundings.environment, served.layout.home)
        if way is not None and way.how == found.how:
            where = way.where(_name(app)) if way.installed(_name(app)) else None
            linger = way.lingers() if isinstance(way, boot.Systemd) else None
    running = status is not None and status.state == service_state.RUNNING
    alive = status is not None and status.process is not None and status.process.alive()
    return {
        "app": app,
        "enabled": found is not None,
        "how": found.how if found else None,
        "where": where,
        "linger": linger,
        "state": status.state if status else None,
        "release": status.release if status else None,
        "since": status.since if status else None,
        "running_s": round(served.surroundings.clock() - status.since_s, 1) if status and running else None,
        "restarts": status.restarts if status else 0,
        "failures": status.failures if status else 0,
        "wait_s": status.wait_s if status and alive else None,
        "last_exit": dict(status.last_exit) if status and status.last_exit else None,
        "pid": status.process.pid if status and status.process and alive else None,
    }


def _way(served: Served, how: Optional[str] = None) -> Boot:
    way, why = boot.find(served.surroundings.environment, served.layout.home)
    if how is not None and (way is None or way.how != how):
        raise AgentError(
            "no-service",
            f"the service was enabled with {how}, which the device has no more ({why or f'it has {way and way.how}'})",
            f"bring {how} back, then disable it",
        )
    if way is None:
        raise AgentError(
            "no-service",
            f"the device can start nothing by itself: {why}",
            "run it detached (lading run --detach), or give the device systemd or cron",
        )
    return way


def _linger(way: boot.Systemd, is_ours: bool) -> Tuple[bool, List[str]]:
    """Start without a login, where that may be had without root."""
    if way.lingers():
        return is_ours, []
    if way.linger(True):
        return True, []
    return False, [
        "the service starts with the user's first login and not with the device, until root runs once on the device: "
        + way.linger_remedy()
    ]


def _hand_on_linger(served: Served, way: boot.Systemd) -> None:
    """Another service still needs to start without a login, or nobody does any more."""
    for app in served.layout.app_names():
        other = service_state.enabled(served.layout, app)
        if other is not None and other.how == way.how:
            service_state.write_enabled(served.layout, app, replace(other, linger_is_ours=True))
            return
    way.linger(False)


def _undo(served: Served, app: str, way: Optional[Boot]) -> None:
    """Nothing is left of a service that could not be enabled."""
    if way is not None:
        with contextlib.suppress(AgentError):
            if way.installed(_name(app)):
                way.remove(_name(app))
    _forget(served, app)


def _remove_unnoted(served: Served, app: str) -> None:
    """Take away what starts a service of which nothing readable is written down, by whatever the device has."""
    way = None if served.emulated else boot.find(served.surroundings.environment, served.layout.home)[0]
    if way is not None and way.installed(_name(app)):
        way.remove(_name(app))


def _forget(served: Served, app: str) -> None:
    shutil.rmtree(service_state.folder(served.layout, app), ignore_errors=True)


def _name(app: str) -> str:
    return f"lading-{app}"
