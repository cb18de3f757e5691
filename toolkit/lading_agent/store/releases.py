"""Releases of an app: which are there, which is current, which came before."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Dict, Final, Iterator, List, Mapping, Optional, Tuple

from lading_agent.bill import Bill, BillError
from lading_agent.errors import AgentError
from lading_agent.store.durable import make_way, replace_file, replace_json, sync_dir
from lading_agent.store.layout import DIGEST, RELEASE_ID, Layout

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.store.steps import Steps

SCHEMA: Final = 1
HISTORY_LENGTH: Final = 200
CANDIDATE: Final = "candidate"
INSTALLED: Final = "installed"


@dataclass(frozen=True)
class Release:
    """A release on the device, as its ``release.json`` has it."""

    app: str
    id: str
    variant: str
    state: str
    """``candidate`` until golden vectors and smoke runs have passed, then ``installed``."""
    blobs: Mapping[str, int]
    installed_at: str
    runtime: str = ""
    """The runtime that it was pushed for, where that is not the one of its bill."""

    def to_json(self) -> Dict[str, Any]:
        """The document in ``release.json``."""
        doc = {
            "schema": SCHEMA,
            "app": self.app,
            "release": self.id,
            "variant": self.variant,
            "state": self.state,
            "blobs": dict(self.blobs),
            "installed_at": self.installed_at,
        }
        if self.runtime:
            doc["runtime"] = self.runtime
        return doc


def now() -> str:
    """The device's clock, for people: nothing is decided by it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


class Releases:
    """The releases of one app."""

    def __init__(self, layout: Layout, app: str) -> None:
        self._layout = layout
        self.app = app
        self._dir = layout.app(app)

    def read(self, release_id: str) -> Optional[Release]:
        """A release, or None when there is none of that id, or only a part of one."""
        path = self._layout.release(self.app, release_id) / "release.json"
        try:
            doc = json.loads(path.read_bytes())
            if doc["schema"] != SCHEMA or doc["release"] != release_id or not _are_blobs(doc["blobs"]):
                return None
            return Release(
                self.app,
                release_id,
                doc["variant"],
                doc["state"],
                dict(doc["blobs"]),
                str(doc["installed_at"]),
                str(doc.get("runtime", "")),
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def installed(self) -> List[Release]:
        """Every release that can be current, the one that was current last first."""
        order = {release: at for at, (release, _) in enumerate(self._entries())}
        found = [r for r in map(self.read, self._layout.release_ids(self.app)) if r is not None]
        return sorted(
            (r for r in found if r.state == INSTALLED),
            key=lambda r: (order.get(r.id, -1), r.installed_at),
            reverse=True,
        )

    def require(self, wanted: str) -> Release:
        """An installed release, by its id, its version, or the unique beginning of its id.

        Raises:
            AgentError: ``no-such-release``.
        """
        installed = self.installed()
        for fits in (
            [r for r in installed if r.id == wanted],
            [r for r in installed if r.id.rpartition("-")[0] == wanted],
            [r for r in installed if wanted and r.id.startswith(wanted)],
        ):
            if len(fits) == 1:
                return fits[0]
            if fits:
                raise AgentError(
                    "no-such-release",
                    f"{wanted[:80]!r} names several releases of {self.app}",
                    f"say which: {', '.join(r.id for r in fits)}",
                )
        raise AgentError(
            "no-such-release",
            f"{self.app} has no release {wanted[:80]!r} on the device",
            f"its releases: {', '.join(r.id for r in installed) or 'none'}",
        )

    def current(self) -> Optional[str]:
        """The id of the current release."""
        try:
            target = str(self._layout.current(self.app).readlink())
        except OSError:
            return None
        name = target.rpartition("/")[2]
        return name if RELEASE_ID.fullmatch(name) else None

    def require_current(self) -> Release:
        """The current release.

        Raises:
            AgentError: ``no-such-app``, or ``no-such-release`` where the app is there and its current release is not.
        """
        current = self.current()
        found = self.read(current) if current else None
        others = self.installed() if found is None else []
        if others:
            raise AgentError(
                "no-such-release",
                f"the current release of {self.app} is gone or damaged on the device",
                f"push it again, or roll back to one of: {', '.join(r.id for r in others)}",
            )
        if found is None:
            raise AgentError("no-such-app", f"{self.app} is not on the device", "push it first")
        return found

    def previous(self) -> Optional[str]:
        """The release that a rollback goes to: the one that was current before the current one was brought here.

        A release that was rolled back from is not gone back to, so that rolling back twice goes back twice.
        """
        stack: List[str] = []
        for release, action in self._entries():
            if action in ("rollback", "revert") and release in stack:
                del stack[stack.index(release) + 1 :]
            elif action in ("push", "rollback", "revert"):
                if release in stack:
                    stack.remove(release)
                stack.append(release)
        current = self.current()
        if current in stack:
            del stack[stack.index(current) :]
        for release in reversed(stack):
            found = self.read(release)
            if found is not None and found.state == INSTALLED:
                return release
        return None

    def bill(self, release_id: str) -> Bill:
        """The bill of a release.

        Raises:
            AgentError: it is damaged.
        """
        try:
            return Bill.parse((self._layout.release(self.app, release_id) / "bill.json").read_bytes())
        except (OSError, BillError) as error:
            raise AgentError(
                "agent-failed",
                f"the bill of {self.app} {release_id} on the device is damaged: {error}",
                "push it again with --force, or roll back",
            ) from error

    def bill_bytes(self, release_id: str) -> bytes:
        """The bill of a release as it lies there; nothing where none does."""
        try:
            return (self._layout.release(self.app, release_id) / "bill.json").read_bytes()
        except OSError:
            return b""

    def switch(self, release_id: str, steps: Steps) -> None:
        """Make a release current. A power cut leaves the old one or the new one."""
        link = self._layout.scratch()
        steps.reach("switch-link")
        link.symlink_to(f"releases/{release_id}")
        make_way(self._layout.current(self.app), self._layout.scratch())
        steps.reach("switch-rename")
        link.rename(self._layout.current(self.app))
        steps.reach("switch-sync")
        sync_dir(self._dir)

    def mark_installed(self, release: Release) -> None:
        """Say that a candidate may be current."""
        path = self._layout.release(self.app, release.id)
        done = Release(release.app, release.id, release.variant, INSTALLED, release.blobs, now(), release.runtime)
        replace_json(path / "release.json", done.to_json(), self._layout.scratch())

    def history(self) -> List[Dict[str, Any]]:
        """What happened to the app, oldest first: ``release``, ``action``, ``at``, ``by``, and ``why`` if it is known.

        Actions: ``push``, ``rollback``, ``confirm``, ``revert`` (the device went back by itself), ``kept`` (it would
        have, but could not).
        """
        try:
            lines = (self._dir / "history").read_bytes().splitlines()
        except OSError:
            return []
        entries: List[Dict[str, Any]] = []
        for line in lines[-HISTORY_LENGTH:]:
            with contextlib.suppress(ValueError, RecursionError):
                entry = json.loads(line)
                if isinstance(entry, dict) and _is_release(entry.get("release")):
                    entries.append(entry)
        return entries

    def remember(self, release_id: str, action: str, by: str = "", why: str = "") -> None:
        """Add to the history."""
        entries = self.history()[-(HISTORY_LENGTH - 1) :]
        entry = {"release": release_id, "action": action, "at": now(), "by": by}
        entries.append({**entry, "why": why} if why else entry)
        data = b"".join(json.dumps(entry, sort_keys=True).encode() + b"\n" for entry in entries)
        replace_file(self._dir / "history", data, self._layout.scratch())

    def pins(self) -> List[str]:
        """The releases that gc leaves alone."""
        try:
            doc = json.loads((self._dir / "pins").read_bytes())
        except (OSError, ValueError, RecursionError):
            return []
        return [p for p in doc if _is_release(p)] if isinstance(doc, list) else []

    def pin(self, release_id: str, pinned: bool) -> None:
        """Pin a release, or let go of it."""
        pins = set(self.pins())
        if pinned:
            pins.add(release_id)
        else:
            pins.discard(release_id)
        replace_file(self._dir / "pins", json.dumps(sorted(pins)).encode(), self._layout.scratch())

    def _entries(self) -> List[Tuple[str, str]]:
        return [(entry["release"], str(entry.get("action"))) for entry in self.history()]


def _is_release(value: Any) -> bool:
    return isinstance(value, str) and RELEASE_ID.fullmatch(value) is not None


def _are_blobs(value: Any) -> bool:
    return isinstance(value, dict) and all(DIGEST.fullmatch(d) and type(n) is int for d, n in value.items())


@contextlib.contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keep a release's directory from being removed, by whichever agent of the device, while it runs.

    Raises:
        FileNotFoundError: it is not there any more.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        if path.stat().st_ino != os.fstat(fd).st_ino:
            raise FileNotFoundError(2, "was removed", str(path))
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def not_in_use(path: Path) -> Iterator[bool]:
    """Whether nobody runs a release; nobody starts to while the context lasts."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)
