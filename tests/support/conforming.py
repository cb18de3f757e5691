"""The conformance suite on lading's own hosts, and what differs between two of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lading.conformance.run import conform
from lading.probe import suite
from lading.probe.fit import cases_for
from lading.probe.local import LocalRunner
from lading.probe.observed import explore
from lading.probe.script import LAYOUT_OF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.conformance.run import Conformance
    from lading.probe.observed import GuestResult, ItemResult
    from lading.probe.script import Program
    from lading.profiles import FirmwareProfile
    from lading_agent.runs.launch import RunnerCommand


@dataclass(frozen=True)
class Suite:
    """Every item of the suite on one host, those that crash some runtimes too."""

    items: Mapping[str, ItemResult]
    guests: int

    @property
    def calls(self) -> int:
        """Calls that came back."""
        return sum(len(item.calls) for item in self.items.values())


def on_host(profile: FirmwareProfile, command: RunnerCommand, *, at_once: int = 2, groups: Sequence[str] = ()) -> Suite:
    """The suite, or some of its groups, on one host."""
    run = LocalRunner(profile.resolved(), command, at_once=at_once)
    guests = 0

    def counted(programs: Sequence[Program]) -> list[GuestResult]:
        nonlocal guests
        guests += len(programs)
        return run(programs)

    assert profile.abi is not None
    cases = [*suite.presence(), *cases_for([m for m in profile.abi.modules if m in LAYOUT_OF])]
    items = explore([c for c in cases if not groups or c.group in groups], counted, unsafe=True)
    return Suite(items, guests)


def judged(
    profile: FirmwareProfile, command: RunnerCommand, *, at_once: int = 2, groups: Sequence[str] = ()
) -> Conformance:
    """The suite held against the profile."""
    run = LocalRunner(profile.resolved(), command, at_once=at_once)
    return conform(run, profile, "this host", unsafe=True, only=list(groups))


def differences(ours: Suite, theirs: Suite) -> list[str]:
    """Items whose calls, watched memory or end differ; the words of a message are each host's own."""
    found = []
    for key in dict.fromkeys([*ours.items, *theirs.items]):
        mine, other = (_plain(s.items.get(key)) for s in (ours, theirs))
        if mine != other:
            found.append(f"{key}: {mine} and {other}")
    return found


def _plain(item: ItemResult | None) -> ItemResult | None:
    if item is None or item.end is None:
        return item
    return replace(item, end=replace(item.end, message=""))
