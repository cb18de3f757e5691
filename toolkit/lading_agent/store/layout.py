"""Where things are in an agent's home, and which names may become file names there."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from typing import TYPE_CHECKING, Any, Final, Iterator, List
from urllib.parse import quote

from lading_agent.engines.code import CODE, CodeCache
from lading_agent.errors import AgentError, from_os_error
from lading_agent.store.durable import make_dirs

if TYPE_CHECKING:
    from pathlib import Path

APP_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
RELEASE_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,199}-[0-9a-f]{16}")
DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")

_counter = itertools.count()


def check_app(name: str) -> str:
    """An app name that may be a directory.

    Raises:
        AgentError: ``no-such-app``.
    """
    if not APP_NAME.fullmatch(name):
        raise AgentError("no-such-app", f"{name[:80]!r} is not the name of an app", "lading status lists the apps")
    return name


def check_release(release: str) -> str:
    """A release id that may be a directory.

    Raises:
        AgentError: ``no-such-release``.
    """
    if not RELEASE_ID.fullmatch(release):
        raise AgentError(
            "no-such-release", f"{release[:80]!r} is not the id of a release", "lading releases lists the releases"
        )
    return release


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest."""
    match = DIGEST.fullmatch(digest)
    if match is None:
        raise AgentError("usage", f"{digest[:80]!r} is not a digest", "update lading on both sides")
    return match.group(1)


class Layout:
    """The paths of one home."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.lock = home / "lock"
        self.device = home / "device.json"
        self.blobs = home / "blobs" / "sha256"
        self.staging = home / "staging"
        self.apps = home / "apps"
        self.agent = home / "agent"
        self.cache = home / "cache"
        """What can be made again: compiled guests, digests of engines."""
        self.code = CodeCache(self.cache / CODE)

    def prepare(self) -> None:
        """Make what is missing.

        Raises:
            AgentError: the home cannot be used.
        """
        try:
            for path in (self.home, self.blobs, self.staging, self.apps):
                make_dirs(path)
            if not os.access(self.home, os.R_OK | os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", str(self.home))
        except OSError as error:
            raise from_os_error(error, f"the agent's home {self.home} cannot be used") from error

    def blob(self, digest: str) -> Path:
        """Where the content of that digest is, or would be."""
        return self.blobs / hex_of(digest)

    def part(self, digest: str) -> Path:
        """Where the content of that digest arrives."""
        return self.staging / f"{hex_of(digest)}.part"

    def intent(self, app: str) -> Path:
        """Where a push of that app writes down what it wants."""
        return self.staging / f"{check_app(app)}.intent"

    def scratch(self) -> Path:
        """A fresh name in staging; the sweep takes away what is left there."""
        return self.staging / f"tmp-{os.getpid()}-{next(_counter)}"

    def app(self, app: str) -> Path:
        """The directory of an app."""
        return self.apps / check_app(app)

    def releases(self, app: str) -> Path:
        """The directory of an app's releases."""
        return self.app(app) / "releases"

    def release(self, app: str, release: str) -> Path:
        """The directory of one release."""
        return self.releases(app) / check_release(release)

    def current(self, app: str) -> Path:
        """The symlink to the current release."""
        return self.app(app) / "current"

    def state(self, app: str, guest: str) -> Path:
        """The host side of a state directory that the guest knows as ``guest``."""
        name = quote(guest, safe="").replace(".", "%2E")
        if len(name) > 200:
            name = hashlib.sha256(guest.encode()).hexdigest()
        return self.app(app) / "state" / name

    def app_names(self) -> List[str]:
        """Every app that has a directory."""
        return sorted(entry.name for entry in _entries(self.apps) if APP_NAME.fullmatch(entry.name) and entry.is_dir())

    def release_ids(self, app: str) -> List[str]:
        """Every release of an app that has a directory, whole or not."""
        return sorted(entry.name for entry in _entries(self.releases(app)) if RELEASE_ID.fullmatch(entry.name))


def _entries(path: Path) -> Iterator[Any]:
    try:
        with os.scandir(path) as found:
            yield from list(found)
    except FileNotFoundError:
        return
