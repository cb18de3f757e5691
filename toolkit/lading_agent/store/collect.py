"""Throwing away: what a power cut left, releases over the number to keep, content that nothing needs."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Mapping, Optional, Set, Tuple

from lading_agent.engines.stored import StoredEngines
from lading_agent.errors import AgentError
from lading_agent.keep import pending
from lading_agent.store.durable import make_dirs, remove_any, remove_tree, replace_json, sync_dir
from lading_agent.store.releases import CANDIDATE, Releases, not_in_use

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout


@dataclass
class Collected:
    """What was thrown away, or would be."""

    releases: List[Tuple[str, str]] = field(default_factory=list)
    """App and release id."""
    blobs: int = 0
    bytes: int = 0

    def to_json(self) -> Dict[str, Any]:
        """The collected as it stands on the wire."""
        return {
            "releases": [{"app": app, "release": release} for app, release in self.releases],
            "blobs": self.blobs,
            "bytes": self.bytes,
        }


def write_intent(layout: Layout, app: str, wanted: Mapping[str, int]) -> None:
    """Write down what a push wants, so that what arrived of it outlives a sweep."""
    replace_json(layout.intent(app), {"blobs": dict(wanted)}, layout.scratch())


def forget_intent(layout: Layout, app: str) -> None:
    """The push is over."""
    with contextlib.suppress(FileNotFoundError):
        layout.intent(app).unlink()


def sweep(layout: Layout) -> Collected:
    """Clean what interrupted work left. The caller holds the lock.

    Candidates go, scratch goes, a `current` that is missing from the history is written there, and content goes that
    neither a release nor an unfinished push names.
    """
    for entry in list(os.scandir(layout.staging)):
        if entry.name.startswith("tmp-"):
            remove_any(layout.staging / entry.name)
    for app in layout.app_names():
        releases = Releases(layout, app)
        current = releases.current()
        for release_id in layout.release_ids(app):
            found = releases.read(release_id)
            if release_id != current and (found is None or found.state == CANDIDATE):
                remove_tree(layout.release(app, release_id), layout.scratch())
        if current is not None:
            history = releases.history()
            if not history or history[-1]["release"] != current:
                releases.remember(current, "push", "found by the sweep")
            _forget_finished(layout, releases, current)
        elif not layout.release_ids(app):
            _remove_empty_app(layout, app)
    return drop_unneeded(layout)


def _forget_finished(layout: Layout, releases: Releases, current: str) -> None:
    """An intent of what is current already belongs to a push that was interrupted after its switch."""
    release = releases.read(current)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        doc = json.loads(layout.intent(releases.app).read_bytes())
        if release is not None and doc["blobs"] == dict(release.blobs):
            forget_intent(layout, releases.app)


def drop_unneeded(
    layout: Layout,
    *,
    intents: bool = True,
    dry_run: bool = False,
    without: Optional[Set[Tuple[str, str]]] = None,
    also: Iterable[str] = (),
    forgotten: Optional[str] = None,
) -> Collected:
    """Throw away content that nothing needs.

    Args:
        layout: the store's paths.
        intents: whether unfinished pushes keep what they want.
        dry_run: only count.
        without: releases that are to be thought away.
        also: digests that are needed in any case.
        forgotten: an app whose unfinished push keeps nothing.
    """
    gone = Collected()
    needed = _needed_by_releases(layout, without or set())
    if needed is None:
        return gone
    needed |= StoredEngines(layout).roots()
    needed.update(digest.rpartition(":")[2] for digest in also)
    if intents:
        needed |= _wanted(layout, forgotten)
    elif not dry_run:
        for entry in os.scandir(layout.staging):
            if entry.name.endswith(".intent"):
                remove_any(layout.staging / entry.name)
    for folder, suffix in ((layout.blobs, ""), (layout.staging, ".part")):
        for entry in list(os.scandir(folder)):
            if not entry.name.endswith(suffix):
                continue
            name = entry.name[: len(entry.name) - len(suffix)]
            if name not in needed:
                gone.blobs += 1
                gone.bytes += entry.stat(follow_symlinks=False).st_size
                if not dry_run:
                    remove_any(folder / entry.name)
    if gone.blobs and not dry_run:
        sync_dir(layout.blobs)
    if not dry_run:
        layout.code.keep(needed)
    return gone


def keep_releases(layout: Layout, keep: int, *, apps: Optional[List[str]] = None, dry_run: bool = False) -> Collected:
    """Throw away old releases and what only they need. The caller holds the lock.

    Args:
        layout: the store's paths.
        keep: how many releases of each app stay, those that were current last. The current one, the one that a
            rollback goes to, pinned ones and running ones stay in any case.
        apps: only these apps.
        dry_run: only say what would go.
    """
    gone: List[Tuple[str, str]] = []
    for app in layout.app_names() if apps is None else apps:
        releases = Releases(layout, app)
        spared = {releases.current(), releases.previous(), _returned_to(layout, app), *releases.pins()}
        for release in releases.installed()[max(keep, 1) :]:
            if release.id in spared:
                continue
            with not_in_use(layout.release(app, release.id)) as unused:
                if not unused:
                    continue
                gone.append((app, release.id))
                if not dry_run:
                    remove_tree(layout.release(app, release.id), layout.scratch())
    collected = drop_unneeded(layout, intents=False, dry_run=dry_run, without=set(gone))
    collected.releases = gone
    return collected


def remove_release(layout: Layout, app: str, release_id: str, *, dry_run: bool = False) -> Collected:
    """Throw away one release that is not current. The caller holds the lock."""
    releases = Releases(layout, app)
    release = releases.require(release_id)
    if release.id == releases.current():
        raise AgentError(
            "device",
            f"{release.id} is the current release of {app}",
            "roll back first (lading rollback), or remove the whole app",
        )
    if release.id == _returned_to(layout, app):
        raise AgentError(
            "device",
            f"{release.id} is what {app} goes back to unless the current release is confirmed",
            "confirm the current one first: lading confirm",
        )
    with not_in_use(layout.release(app, release.id)) as unused:
        if not unused:
            raise AgentError("device", f"{release.id} of {app} is running", "stop it first")
        if not dry_run:
            if release.id in releases.pins():
                releases.pin(release.id, False)
            remove_tree(layout.release(app, release.id), layout.scratch())
    collected = drop_unneeded(layout, dry_run=dry_run, without={(app, release.id)})
    collected.releases = [(app, release.id)]
    return collected


def _returned_to(layout: Layout, app: str) -> Optional[str]:
    """The release that the device goes back to by itself if nobody confirms the current one."""
    found = pending.read(layout, app)
    return None if found is None else found.previous


def remove_app(layout: Layout, app: str, *, dry_run: bool = False) -> Collected:
    """Throw away an app: all its releases, its history, and the files that it wrote. The caller holds the lock."""
    path = layout.app(app)
    if not path.is_dir():
        raise AgentError("no-such-app", f"{app} is not on the device", "lading status lists the apps")
    ids = layout.release_ids(app)
    with contextlib.ExitStack() as stack:
        for release_id in ids:
            if not stack.enter_context(not_in_use(layout.release(app, release_id))):
                raise AgentError("device", f"{release_id} of {app} is running", "stop it first")
        if not dry_run:
            forget_intent(layout, app)
            remove_tree(path, layout.scratch())
    gone = {(app, release_id) for release_id in ids}
    collected = drop_unneeded(layout, dry_run=dry_run, without=gone, forgotten=app)
    collected.releases = sorted(gone)
    return collected


def _remove_empty_app(layout: Layout, app: str) -> None:
    """An app whose first push did not get through has nothing; its state directory is made by its first run."""
    path = layout.app(app)
    if not any((path / name).exists() for name in ("state", "history", "pins")):
        remove_tree(path, layout.scratch())


def engines_wanted(layout: Layout) -> List[Dict[str, str]]:
    """The versions of engines, by name, that releases ask for in their bills."""
    found: List[Dict[str, str]] = []
    for app in layout.app_names():
        for release_id in layout.release_ids(app):
            with contextlib.suppress(OSError, ValueError, RecursionError, AttributeError):
                wanted = json.loads((layout.release(app, release_id) / "bill.json").read_bytes()).get("engines")
                found.append({str(name): str(version) for name, version in (wanted or {}).items()})
    return found


def _needed_by_releases(layout: Layout, without: Set[Tuple[str, str]]) -> Optional[Set[str]]:
    """What releases need; None when a current one does not say so any more, and nothing may go."""
    needed: Set[str] = set()
    for app in layout.app_names():
        releases = Releases(layout, app)
        for release_id in layout.release_ids(app):
            if (app, release_id) in without:
                continue
            release = releases.read(release_id)
            if release is None:
                if release_id == releases.current():
                    return None
            else:
                needed.update(digest.rpartition(":")[2] for digest in release.blobs)
    return needed


def _wanted(layout: Layout, forgotten: Optional[str] = None) -> Set[str]:
    wanted: Set[str] = set()
    spent = layout.intent(forgotten).name if forgotten is not None else ""
    for entry in os.scandir(layout.staging):
        if entry.name.endswith(".intent") and entry.name != spent:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                doc = json.loads((layout.staging / entry.name).read_bytes())
                wanted.update(str(digest).rpartition(":")[2] for digest in doc["blobs"])
    return wanted


def prepare_app(layout: Layout, app: str) -> None:
    """Make an app's directory."""
    make_dirs(layout.releases(app))
