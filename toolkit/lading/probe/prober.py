"""Probing one device: facts, then guests, then the firmware profile that fits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading import profiles as firmware
from lading.check.installed import find
from lading.probe import suite
from lading.probe.fit import Fit, cases_for, fits
from lading.probe.measure import measure, modules
from lading.probe.observed import explore
from lading.probe.runners import AgentRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lading.client import Session
    from lading.datafiles import Skipped
    from lading.probe.observed import ItemResult

Progress = "Callable[[int, int], None]"


@dataclass(frozen=True)
class Probed:
    """Everything that a probe found out."""

    device: str
    emulated: bool
    facts: Mapping[str, Any]
    """See :func:`lading_agent.facts.gather.facts_of`; empty for an emulated device."""
    evidence: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Where each fact is from, for a device that has no agent; empty for the others, whose sources are the same."""
    target: Mapping[str, Any]
    """The resolved target that the device says it is; empty when it says nothing."""
    profile: Mapping[str, Any]
    """The resolved firmware profile that the device says it has."""
    unsafe: bool
    results: Mapping[str, ItemResult] = field(default_factory=dict)
    """Empty for a firmware that runs no guests."""
    modules: tuple[str, ...] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
    fits: tuple[Fit, ...] = ()
    """All profiles of the same import module, the best first."""
    runtime: str = ""
    installed: str = ""
    """The runtime of the device's own that was measured; empty for what the agent runs guests with."""
    remembered: str = ""
    """The firmware profile that the device from now on takes that runtime to have."""
    guests: int = 0
    round_trips: int = 0

    @property
    def runs_guests(self) -> bool:
        """Whether the device's firmware hosts core modules at all."""
        return bool(self.profile.get("functions"))

    @property
    def fitting(self) -> list[str]:
        """The profiles without a difference, the device's own first."""
        found = [fit.profile for fit in self.fits if not fit.differences]
        return sorted(found, key=lambda id_: (id_ != self.profile.get("id"), id_))

    @property
    def nearest(self) -> Fit | None:
        """The best fit: the device's own profile when several are equally good."""
        if not self.fits:
            return None
        best = [fit for fit in self.fits if len(fit.differences) == len(self.fits[0].differences)]
        return next((fit for fit in best if fit.profile == self.profile.get("id")), best[0])


def probe(
    session: Session,
    device: str,
    *,
    unsafe: bool = False,
    installed: str | None = None,
    project: Path | None = None,
    at_once: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    skipped: Skipped | None = None,
) -> Probed:
    """Find out what a device can do.

    Args:
        session: a session with its agent.
        device: its address, for the report.
        unsafe: also try what is known, or suspected, to crash some runtimes.
        installed: measure this runtime of the device's own in place of lading's.
        project: a project folder with firmware profiles of its own.
        at_once: guests that may run at the same time; as many as the machine has processors for an emulated device, one
            after the other on a board, when not given.
        progress: called with guests that have ended, and guests so far asked for.
        skipped: is told of each firmware profile that the device cannot be compared with because its file is wrong.

    Raises:
        CheckRefused: the device has no such runtime.
        CannotProbe: the device's runner fails before any guest can say something.
        LadingError: the link or the agent fails.
    """
    said = session.describe()
    asked = session.facts()
    emulated = bool(asked.get("emulated"))
    target, profile = dict(said.get("target") or {}), dict(said.get("profile") or {})
    known = firmware.load_all(project, skipped=skipped)
    if installed is not None and not emulated:
        profile = _declared(session, installed, device, known)
    bare = Probed(
        device=device,
        emulated=emulated,
        facts=dict(asked.get("facts") or {}),
        evidence=dict(asked.get("evidence") or {}),
        target=target,
        profile=profile,
        unsafe=unsafe,
        installed=installed or "",
        round_trips=session.round_trips,
    )
    if not bare.runs_guests or not asked.get("guests", True):
        return bare
    counter = _Counter(progress)
    width = at_once or (min(4, (os.cpu_count() or 1) + 1) if emulated else 1)
    runner = AgentRunner(session, at_once=width, on_guest=counter.ended, runtime=installed)
    results = explore(suite.presence(), runner, unsafe=unsafe, on_round=counter.asked)
    found = modules(results)
    results |= explore(cases_for(found), runner, unsafe=unsafe, on_round=counter.asked)
    measured = measure(results, found[0]) if found else {}
    if emulated and measured:
        # What the profile leaves open is this machine's engine speaking, not the board's.
        stated = (profile.get("wasm") or {}).get("features") or {}
        measured["wasm"] = {k: v if k in stated else None for k, v in measured["wasm"].items()}
    held = fits(results, known, found, unsafe=unsafe, named=runner.names)
    remembered = ""
    if installed is not None and not emulated:
        exact = [fit.profile for fit in held if not fit.differences and _of(known[fit.profile], installed)]
        remembered = next((id_ for id_ in exact if id_ == profile.get("id")), exact[0] if exact else "")
        session.keep_measured(installed, remembered)
    return Probed(
        **{f: getattr(bare, f) for f in ("device", "emulated", "facts", "target", "profile", "unsafe", "installed")},
        remembered=remembered,
        results=results,
        modules=tuple(found),
        measured=measured,
        fits=tuple(held),
        runtime=runner.runtime,
        guests=counter.total,
        round_trips=session.round_trips,
    )


def _declared(
    session: Session, name: str, device: str, known: Mapping[str, firmware.FirmwareProfile]
) -> dict[str, Any]:
    """The profile that one of a device's runtimes should have: of its release, or else any of that runtime."""
    there = find(session.runtimes(), name, device)
    ids = [*(there.get("profiles") or ()), *(id_ for id_, profile in known.items() if _of(profile, name))]
    return next((known[id_].resolved() for id_ in ids if id_ in known), {})


def _of(profile: firmware.FirmwareProfile, runtime: str) -> bool:
    return profile.command is not None and profile.command.runtime == runtime


class _Counter:
    def __init__(self, progress: Callable[[int, int], None] | None) -> None:
        self._progress = progress
        self._done = 0
        self.total = 0

    def asked(self, count: int) -> None:
        self.total += count

    def ended(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self.total)
