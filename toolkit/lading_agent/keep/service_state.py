"""How an app's service stands: whether it is enabled, and what its loop last wrote down."""

from __future__ import annotations

import fcntl
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from lading_agent.keep import files
from lading_agent.keep.processes import Identity

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.store.layout import Layout

RUNNING, WAITING, FINISHED, STOPPED, DIED = "running", "waiting", "finished", "stopped", "died"
NONE = type(None)
ENABLED_KINDS = {"how": (str,), "since": (str,), "linger_is_ours": (bool,), "stopped_boot": (str,)}
STATUS_KINDS = {
    **dict.fromkeys(("state", "since"), (str,)),
    **dict.fromkeys(("release", "trial", "stood"), (str, NONE)),
    **dict.fromkeys(("since_s", "wait_s"), (float, int)),
    **dict.fromkeys(("restarts", "failures"), (int,)),
    "last_exit": (dict, NONE),
}


@dataclass(frozen=True)
class Enabled:
    """That a service is enabled, and how it is started."""

    how: str
    """``systemd``, ``cron``, or ``agent``: by the agent when somebody connects (emulated devices)."""
    since: str
    linger_is_ours: bool = False
    """Starting without a login was switched on by us, and is switched off with the last service."""
    stopped_boot: str = ""
    """It was stopped by hand in this boot, and starts with the next one."""


@dataclass(frozen=True)
class ServiceStatus:
    """What a service's loop wrote down last."""

    state: str
    """``running``; ``waiting`` (to start again); ``finished`` (status 0: it starts again with the next release);
    ``stopped``; ``died`` (its loop is gone without a word)."""
    process: Optional[Identity]
    release: Optional[str] = None
    since: str = ""
    """When this state began, by the device's clock: for people."""
    since_s: float = 0.0
    """The boot's clock at that moment."""
    restarts: int = 0
    """How often the guest was started again since the loop began."""
    failures: int = 0
    """Failed starts in a row."""
    trial: Optional[str] = None
    """The release that has been switched to and has not stood yet."""
    stood: Optional[str] = None
    """The release that last ran long enough, or ended well."""
    wait_s: float = 0.0
    """How long it waits before it starts again."""
    last_exit: Optional[Mapping[str, Any]] = None
    """``outcome``, ``status``, ``kind``, ``message``, ``at``, ``release``, ``ran_s``, ``metrics``."""

    def to_json(self) -> Dict[str, Any]:
        """The document in ``status.json``."""
        return {**asdict(self), "process": self.process.to_json() if self.process else None}


def folder(layout: Layout, app: str) -> Path:
    """Where a service is written down, and its log."""
    return layout.app(app) / "service"


def enabled(layout: Layout, app: str) -> Optional[Enabled]:
    """Whether and how a service is enabled."""
    doc = files.read(folder(layout, app) / "enabled.json")
    if doc is None or not files.suits(doc, ENABLED_KINDS):
        return None
    try:
        return Enabled(**{k: doc[k] for k in Enabled.__dataclass_fields__ if k in doc})
    except TypeError:
        return None


def write_enabled(layout: Layout, app: str, found: Enabled) -> None:
    """Write down that it is."""
    files.write(folder(layout, app) / "enabled.json", asdict(found))


def read(layout: Layout, app: str) -> Optional[ServiceStatus]:
    """How the service stands; None when it never ran."""
    doc = files.read(folder(layout, app) / "status.json")
    if doc is None or not files.suits(doc, STATUS_KINDS):
        return None
    known = {k: doc[k] for k in ServiceStatus.__dataclass_fields__ if k in doc}
    try:
        found = ServiceStatus(**{**known, "process": Identity.from_json(doc.get("process"))})
    except TypeError:
        return None
    if found.state in (STOPPED, DIED) or (found.process is not None and found.process.alive()):
        return found
    return ServiceStatus(**{**found.__dict__, "state": DIED})


def write(layout: Layout, app: str, status: ServiceStatus) -> None:
    """Write down how it stands."""
    files.write(folder(layout, app) / "status.json", status.to_json())


def is_kept(layout: Layout, app: str) -> bool:
    """Whether a loop keeps the service now."""
    found = read(layout, app)
    return found is not None and found.process is not None and found.process.alive()


def take(layout: Layout, app: str) -> Optional[int]:
    """The right to be the one loop of a service: a descriptor to hold; None when there is one already."""
    fd = os.open(folder(layout, app) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
