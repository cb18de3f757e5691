"""Requests about what is on the device: status, releases, rollback, removal, pins, files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import pending, runs, service_state, services
from lading_agent.store import collect, space
from lading_agent.store.blobs import has_blob
from lading_agent.store.lock import holder, locked
from lading_agent.store.releases import Releases
from lading_agent.store.state import open_state_file
from lading_agent.wire.frames import CHUNK

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange
    from lading_agent.store.collect import Collected


def which_app(served: Served, name: Optional[str]) -> str:
    """The app that is meant: the only one when none is named.

    Raises:
        AgentError: ``no-such-app``.
    """
    names = served.layout.app_names()
    if name is not None:
        served.layout.app(name)
        if name not in names:
            known = ", ".join(names) or "none"
            raise AgentError("no-such-app", f"the device has no app {name}", f"apps on the device: {known}")
        return name
    if len(names) == 1:
        return names[0]
    if not names:
        raise AgentError("no-such-app", "the device holds no app", "bring one: lading deploy PROJECT DEVICE")
    raise AgentError("usage", f"the device holds several apps: {', '.join(names)}", "name one after the device")


def ping(served: Served, exchange: Exchange) -> Dict[str, Any]:  # noqa: ARG001
    """Answer the request ``ping``."""
    return {}


def describe(served: Served, exchange: Exchange) -> Dict[str, Any]:  # noqa: ARG001
    """Answer the request ``describe``: target and firmware profile, whole."""
    return {"target": dict(served.target), "profile": dict(served.profile)}


def status(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``status``."""
    asked = exchange.fields.optional_text("app")
    names = served.layout.app_names() if asked is None else [which_app(served, asked)]
    room = space.measure(served.layout.home, served.storage_bytes)
    used = space.disk_use(served.layout.home)
    free = room.free_bytes if room.quota_left is None else max(0, min(room.free_bytes, room.quota_left))
    return {
        "apps": {name: _app_status(served, name) for name in names},
        "disk": {"used_bytes": used, "free_bytes": free, "free_inodes": room.free_inodes},
        "lock": holder(served.layout.lock),
    }


def _app_status(served: Served, name: str) -> Dict[str, Any]:
    found = Releases(served.layout, name)
    current = found.current()
    there = found.read(current) if current is not None else None
    return {
        "current": current,
        "variant": None if there is None else there.variant,
        "previous": found.previous(),
        "releases": [release.id for release in found.installed()],
        "pinned": found.pins(),
        "state_bytes": space.disk_use(served.layout.app(name) / "state"),
        "runs": [run.told() for run in runs.running(served.layout, name)],
        "service": services.told(served, name, briefly=True),
        "pending": _pending(served, name),
    }


def _pending(served: Served, name: str) -> Optional[Dict[str, Any]]:
    found = pending.read(served.layout, name)
    return None if found is None else found.told(served.surroundings)


def releases(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``releases``."""
    app = which_app(served, exchange.fields.optional_text("app"))
    found = Releases(served.layout, app)
    current, previous, pins = found.current(), found.previous(), found.pins()
    return {
        "app": app,
        "current": current,
        "previous": previous,
        "pending": _pending(served, app),
        "releases": [
            {
                "release": release.id,
                "variant": release.variant,
                "current": release.id == current,
                "previous": release.id == previous,
                "pinned": release.id in pins,
                "installed_at": release.installed_at,
                "size": sum(release.blobs.values()),
            }
            for release in found.installed()
        ],
        "history": found.history()[-50:],
    }


def rollback(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``rollback``."""
    app = which_app(served, exchange.fields.optional_text("app"))
    to = exchange.fields.optional_text("to")
    with locked(served.layout.lock, exchange.owner, f"rollback of {app}"):
        found = Releases(served.layout, app)
        before = found.current()
        wanted = to if to is not None else found.previous()
        if wanted is None:
            raise AgentError(
                "no-such-release",
                f"{app} has no earlier release to go back to",
                "name one with --to: lading releases lists what the device holds",
            )
        release = found.require(wanted)
        _require_content(served, app, release.blobs)
        if release.id != before:
            found.switch(release.id, served.steps)
            found.remember(release.id, "rollback", f"{exchange.owner.get('user')}@{exchange.owner.get('host')}")
            pending.settle(served.layout, app)  # what somebody chose by hand stays
        return {"app": app, "current": release.id, "previous": before}


def _require_content(served: Served, app: str, blobs: Any) -> None:
    gone = [d for d, size in blobs.items() if not has_blob(served.layout, d, size)]
    if gone:
        raise AgentError(
            "agent-failed", f"content of that release of {app} is damaged: {gone[0]}", "push it again with --force"
        )


def remove(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``remove``: one release, or the whole app with its state."""
    fields = exchange.fields
    app = which_app(served, fields.text("app"))
    release = fields.optional_text("release")
    dry_run = fields.flag("dry_run")
    if release is None and service_state.enabled(served.layout, app) is not None:
        raise AgentError("device", f"the service of {app} is enabled", "disable it first: lading service disable")
    with locked(served.layout.lock, exchange.owner, f"removal of {app}"):
        if release is not None:
            gone = collect.remove_release(served.layout, app, release, dry_run=dry_run)
        else:
            gone = collect.remove_app(served.layout, app, dry_run=dry_run)
    return {"app": app, "dry_run": dry_run, **_collected(gone, with_app=False)}


def gc(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``gc``."""
    keep = exchange.fields.integer("keep", 2, low=1)
    dry_run = exchange.fields.flag("dry_run")
    with locked(served.layout.lock, exchange.owner, "gc"):
        if not dry_run:
            collect.sweep(served.layout)
        gone = collect.keep_releases(served.layout, keep, dry_run=dry_run)
    return {"keep": keep, "dry_run": dry_run, **_collected(gone, with_app=True)}


def _collected(gone: Collected, *, with_app: bool) -> Dict[str, Any]:
    names: List[str] = [f"{app} {release}" if with_app else release for app, release in gone.releases]
    return {"removed": names, "blobs": gone.blobs, "freed_bytes": gone.bytes}


def pin(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``pin``."""
    app = which_app(served, exchange.fields.optional_text("app"))
    pinned = exchange.fields.flag("pinned", True)
    with locked(served.layout.lock, exchange.owner, f"pin of {app}"):
        found = Releases(served.layout, app)
        release = found.require(exchange.fields.text("release"))
        found.pin(release.id, pinned)
    return {"app": app, "release": release.id, "pinned": pinned}


def fetch(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``fetch``: the file's bytes follow as data, the reply has size and digest."""
    app = which_app(served, exchange.fields.optional_text("app"))
    found = Releases(served.layout, app)
    bill = found.bill(found.require_current().id)
    guests = [directory.guest for directory in bill.state]
    file, size = open_state_file(served.layout, app, guests, exchange.fields.text("path"))
    hasher = hashlib.sha256()
    sent = 0
    with file:
        exchange.event("size", bytes=size)
        # Up to the size that it had: a guest may be writing, and a file that grows would never end.
        while sent < size:
            exchange.check()
            data = file.read(min(CHUNK, size - sent))
            if not data:
                break
            hasher.update(data)
            sent += len(data)
            exchange.data(data)
    return {"app": app, "size": sent, "digest": f"sha256:{hasher.hexdigest()}"}
