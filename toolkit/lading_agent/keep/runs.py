"""Detached runs of an app as they stand on the device: a folder each, with its log and how it stands."""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import files
from lading_agent.keep.processes import Identity
from lading_agent.store.durable import make_dirs

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.store.layout import Layout

RUN_ID = re.compile(r"[1-9][0-9]{0,8}")
RUNNING, ENDED = "running", "ended"
ENDED_KEPT = 5
"""How many runs that have ended stay, with their logs."""
DIED = "keeper-died"
_NONE = type(None)
_KINDS = {
    **dict.fromkeys(("id", "app", "release", "state", "since", "message", "remedy"), (str,)),
    **dict.fromkeys(("ended", "outcome", "kind"), (str, _NONE)),
    "args": (list,),
    "status": (int, _NONE),
    "metrics": (dict,),
}


@dataclass(frozen=True)
class KeptRun:
    """A detached run."""

    id: str
    app: str
    release: str
    state: str
    """``running`` or ``ended``."""
    since: str
    """When it began, by the device's clock: for people, nothing is decided by it."""
    args: List[str] = field(default_factory=list)
    process: Optional[Identity] = None
    """Who keeps it."""
    ended: Optional[str] = None
    outcome: Optional[str] = None
    status: Optional[int] = None
    kind: Optional[str] = None
    message: str = ""
    remedy: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        """The document in ``status.json``."""
        return {**asdict(self), "process": self.process.to_json() if self.process else None}

    def told(self) -> Dict[str, Any]:
        """What clients are told of it."""
        doc = self.to_json()
        del doc["process"]
        return {"run": doc.pop("id"), **doc, "pid": self.process.pid if self.process else None}

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> KeptRun:
        """Read a document written by :meth:`to_json`."""
        known = {name: doc[name] for name in cls.__dataclass_fields__ if name in doc}
        return cls(**{**known, "process": Identity.from_json(doc.get("process"))})


def folder(layout: Layout, app: str, run: str) -> Path:
    """Where a run is.

    Raises:
        AgentError: ``no-such-run``: not the number of a run.
    """
    if not RUN_ID.fullmatch(run):
        raise AgentError("no-such-run", f"{run[:40]!r} is not the number of a run", "lading status lists the runs")
    return layout.app(app) / "runs" / run


def write(layout: Layout, run: KeptRun) -> None:
    """Write down how a run stands."""
    files.write(folder(layout, run.app, run.id) / "status.json", run.to_json())


def read(layout: Layout, app: str, run: str) -> Optional[KeptRun]:
    """How a run stands; a run whose keeper is gone without a word has ended."""
    doc = files.read(folder(layout, app, run) / "status.json")
    if doc is None or not files.suits(doc, _KINDS):
        return None
    doc = {**doc, "id": run, "app": app}  # the folder says so
    try:
        found = KeptRun.from_json(doc)
    except TypeError:
        return None
    if found.state != RUNNING or (found.process is not None and found.process.alive()):
        return found
    again = files.read(folder(layout, app, run) / "status.json")
    if again is not None and again.get("state") == ENDED and files.suits(again, _KINDS):
        return KeptRun.from_json({**found.to_json(), **again, "id": run, "app": app})  # between our two looks
    return KeptRun.from_json(
        {
            **found.to_json(),
            "state": ENDED,
            "outcome": "failed",
            "status": 125,
            "kind": DIED,
            "message": "the process that kept the run ended without a word: it was killed, or the device restarted",
            "remedy": "look at the device's memory and its kernel log, then start it again",
        }
    )


def listed(layout: Layout, app: str) -> List[KeptRun]:
    """The runs of an app, the newest first."""
    return [run for run in (read(layout, app, number) for number in _numbers(layout, app)) if run is not None]


def running(layout: Layout, app: str) -> List[KeptRun]:
    """The runs that go on, the newest first."""
    return [run for run in listed(layout, app) if run.state == RUNNING]


def require(layout: Layout, app: str, run: str) -> KeptRun:
    """A run by its number.

    Raises:
        AgentError: ``no-such-run``.
    """
    found = read(layout, app, run)
    if found is None:
        known = ", ".join(other.id for other in listed(layout, app)) or "none"
        raise AgentError("no-such-run", f"{app} has no run {run} on the device", f"its runs: {known}")
    return found


def reserve(layout: Layout, app: str) -> str:
    """A number for a new run, and its folder; old runs go."""
    root = layout.app(app) / "runs"
    make_dirs(root)
    numbers = _numbers(layout, app)
    for old in [n for n in numbers if (found := read(layout, app, n)) is None or found.state == ENDED][
        ENDED_KEPT - 1 :
    ]:
        shutil.rmtree(root / old, ignore_errors=True)
    number = int(numbers[0]) if numbers else 0
    while True:
        number += 1
        try:
            (root / str(number)).mkdir(mode=0o700)
        except FileExistsError:
            continue
        return str(number)


def discard(layout: Layout, app: str, run: str) -> None:
    """Take a run away that never began."""
    shutil.rmtree(folder(layout, app, run), ignore_errors=True)
    with contextlib.suppress(OSError):
        (layout.app(app) / "runs").rmdir()


def _numbers(layout: Layout, app: str) -> List[str]:
    try:
        names = [path.name for path in (layout.app(app) / "runs").iterdir()]
    except OSError:
        return []
    return sorted((name for name in names if RUN_ID.fullmatch(name)), key=int, reverse=True)
