"""A release that is current on probation: written down before the switch, settled by a confirmation or by going back.

Time is counted by the device's boot and the clock that runs since then, never by a clock that somebody sets: boards
have none when they start. What is written down of the time that was used survives a restart; the rest of it goes on
when the agent or its watcher first looks in the new boot. A device that restarts over and over goes back, too.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from lading_agent.keep import files
from lading_agent.store.layout import RELEASE_ID
from lading_agent.store.releases import Releases, now

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.keep.surroundings import Surroundings
    from lading_agent.store.layout import Layout

WAITING, REVERTING = "waiting", "reverting"
MAX_BOOTS = 3
"""At the third restart of a device whose release nobody confirmed it goes back, whatever time is left."""
MIN_RECORD_S = 5.0
_KINDS = {
    **dict.fromkeys(("release", "previous", "boot_id", "state", "why", "since", "by"), (str,)),
    **dict.fromkeys(("within_s", "used_s", "at_s"), (float, int)),
    "boots": (int,),
    "replaced": (dict, type(None)),
}


@dataclass(frozen=True)
class Pending:
    """A release that waits to be confirmed."""

    release: str
    previous: str
    """Where the device goes back to: the last release that was not pending itself."""
    within_s: float
    used_s: float
    """Seconds that had passed when this was written."""
    boot_id: str
    at_s: float
    """The boot's clock when this was written."""
    boots: int = 0
    """How often the device was started since."""
    state: str = WAITING
    why: str = ""
    """Why it is gone back from."""
    since: str = ""
    by: str = ""
    replaced: Optional[Mapping[str, Any]] = None
    """What was pending when this was written: it counts again if the switch does not come."""

    def used(self, around: Surroundings) -> float:
        """Seconds that have passed, as far as this boot knows."""
        if self.boot_id != around.boot_id():
            return self.used_s
        return self.used_s + max(0.0, around.clock() - self.at_s)

    def left(self, around: Surroundings) -> float:
        """Seconds until the device goes back; 0 when it is time."""
        return max(0.0, self.within_s - self.used(around))

    def recorded(self, around: Surroundings) -> Pending:
        """The same with what has passed written down; a new boot is counted."""
        boots = self.boots + (self.boot_id != around.boot_id())
        return replace(
            self, used_s=self.used(around), boot_id=around.boot_id(), at_s=around.clock(), boots=boots, replaced=None
        )

    @property
    def record_every_s(self) -> float:
        """How much time may be forgotten by a power cut; a card wears by being written."""
        return max(MIN_RECORD_S, self.within_s / 20)

    def verdict(self, around: Surroundings) -> str:
        """Why it is time to go back; nothing while it is not."""
        if self.state == REVERTING:
            return self.why or "going back was interrupted"
        boots = self.boots + (self.boot_id != around.boot_id())
        if boots >= MAX_BOOTS:
            return f"the device restarted {boots} times before anybody confirmed it"
        return "" if self.left(around) > 0 else f"nobody confirmed it within {self.within_s:g} s"

    def to_json(self) -> Dict[str, Any]:
        """The document in ``pending.json``."""
        return asdict(self)

    def told(self, around: Surroundings) -> Dict[str, Any]:
        """What clients are told."""
        return {
            "release": self.release,
            "previous": self.previous,
            "within_s": self.within_s,
            "left_s": round(self.left(around), 1),
            "since": self.since,
            "by": self.by,
        }


def path_of(layout: Layout, app: str) -> Path:
    """Where an app's pending release is written down."""
    return layout.app(app) / "pending.json"


def read(layout: Layout, app: str) -> Optional[Pending]:
    """An app's pending release; None when the current one is not pending."""
    found = _parse(files.read(path_of(layout, app)))
    current = Releases(layout, app).current()
    if found is None or found.release == current:
        return found
    if found.state == REVERTING and found.previous == current:
        return found  # the history does not say so yet
    before = _parse(found.replaced)
    return before if before is not None and before.release == current else None


def arm(layout: Layout, app: str, release: str, within_s: float, by: str, around: Surroundings) -> Optional[Pending]:
    """Write down that a release is about to be current on probation. The caller holds the lock.

    Returns:
        What is pending now; None when there is nothing to go back to.
    """
    before = read(layout, app)
    previous = before.previous if before is not None else Releases(layout, app).current()
    if previous is None or previous == release:
        return None
    replaced = None if before is None else {**before.to_json(), "replaced": None}
    armed = Pending(
        release,
        previous,
        within_s,
        0.0,
        around.boot_id(),
        around.clock(),
        since=now(),
        by=by,
        replaced=replaced,
    )
    write(layout, app, armed)
    return armed


def write(layout: Layout, app: str, pending: Pending) -> None:
    """Write down how a pending release stands. The caller holds the lock."""
    files.write(path_of(layout, app), pending.to_json())


def settle(layout: Layout, app: str) -> None:
    """Nothing of the app is pending any more. The caller holds the lock."""
    files.remove(path_of(layout, app))


def written(layout: Layout) -> List[str]:
    """The apps that have something written down, whatever it is worth."""
    return [app for app in layout.app_names() if path_of(layout, app).exists()]


def _parse(doc: Optional[Mapping[str, Any]]) -> Optional[Pending]:
    if doc is None or not files.suits(doc, _KINDS):
        return None
    known = {name: doc[name] for name in Pending.__dataclass_fields__ if name in doc}
    try:
        found = Pending(**known)
    except TypeError:
        return None
    return found if RELEASE_ID.fullmatch(found.release) and RELEASE_ID.fullmatch(found.previous) else None
