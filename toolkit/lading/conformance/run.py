"""Running the suite: every case on a runtime, held against what a firmware profile foretells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lading.errors import UsageError
from lading.probe import suite
from lading.probe.compare import comparable, compare, describe_call, describe_end
from lading.probe.fit import cases_for
from lading.probe.observed import explore
from lading.probe.predict import Predictor
from lading.probe.script import LAYOUT_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.probe.cases import Case
    from lading.probe.observed import ItemResult, Run
    from lading.profiles import FirmwareProfile

State = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Verdict:
    """One item of the suite."""

    item: str
    group: str
    about: str
    state: State
    calls: tuple[str, ...]
    """The calls of the item in words, with what came back."""
    call: str = ""
    """The first call that differs."""
    expected: str = ""
    actual: str = ""
    why: str = ""
    """For a failed item what differs; for a skipped one why it was not judged."""

    def to_json(self) -> dict[str, Any]:
        """The verdict as it stands in reports."""
        return {
            "item": self.item,
            "group": self.group,
            "about": self.about,
            "state": self.state,
            "call": self.call,
            "expected": self.expected,
            "actual": self.actual,
            "why": self.why,
            "calls": list(self.calls),
        }


@dataclass(frozen=True)
class Conformance:
    """A whole run of the suite."""

    subject: str
    """What was run: a device, a command."""
    profile: str
    """The firmware profile that was held against it."""
    unsafe: bool
    verdicts: tuple[Verdict, ...]

    def count(self, state: State) -> int:
        """How many items ended so."""
        return Counter(v.state for v in self.verdicts)[state]

    @property
    def passed(self) -> bool:
        """No item failed."""
        return not self.count("failed")

    def to_json(self) -> dict[str, Any]:
        """The run as a document."""
        return {
            "subject": self.subject,
            "profile": self.profile,
            "unsafe": self.unsafe,
            "passed": self.count("passed"),
            "failed": self.count("failed"),
            "skipped": self.count("skipped"),
            "items": [v.to_json() for v in self.verdicts],
        }


def groups(module: str = "wasi_ephemeral_nn") -> list[str]:
    """Names of the groups of cases."""
    return list(dict.fromkeys(case.group for case in _cases([module])))


def _cases(modules: Sequence[str]) -> list[Case]:
    return [*suite.presence(), *cases_for(modules)]


def conform(
    run: Run,
    profile: FirmwareProfile,
    subject: str,
    *,
    unsafe: bool = False,
    only: Sequence[str] = (),
    named: bool = True,
    on_round: Callable[[int], None] | None = None,
) -> Conformance:
    """Run the suite.

    Args:
        run: runs guests on what is judged.
        profile: what is expected of it.
        subject: what is judged, for the report.
        unsafe: also the items that are known, or suspected, to crash some runtimes.
        only: names of groups; all of them when empty.
        named: whether the runtime was told the echo model's name.
        on_round: told how many guests the next round has.

    Raises:
        UsageError: no such group, or a profile that hosts no core modules.
        LadingError: the runtime cannot be reached.
    """
    if not profile.runs_guests or profile.abi is None:
        raise UsageError(
            f"firmware profile {profile.id} hosts no core modules: there is nothing to run on it",
            remedy="choose a profile that runs guests (lading profiles list)",
        )
    modules = [m for m in profile.abi.modules if m in LAYOUT_OF]
    cases = _cases(modules)
    known = dict.fromkeys(case.group for case in cases)
    for group in only:
        if group not in known:
            raise UsageError(f"there is no group {group!r}", remedy=f"groups are {', '.join(known)}")
    chosen = [case for case in cases if not only or case.group in only]
    tried = [case for case in chosen if named or not case.names]
    expected = explore(tried, Predictor(profile.resolved(), named=named), unsafe=unsafe)
    actual = explore(tried, run, unsafe=unsafe, on_round=on_round)
    verdicts = []
    for case in chosen:
        for item in case.items:
            key = case.id if item.id == "-" else f"{case.id}/{item.id}"
            verdicts.append(
                _verdict(key, case.group, item.about, case, expected.get(key), actual.get(key), item.unsafe)
            )
    return Conformance(subject, profile.id, unsafe, tuple(verdicts))


def _verdict(
    key: str,
    group: str,
    about: str,
    case: Case,
    expected: ItemResult | None,
    actual: ItemResult | None,
    unsafe: bool,
) -> Verdict:
    if expected is None or actual is None:
        why = "it may crash a runtime: --unsafe runs it" if unsafe or case.unsafe else "the command is told no model"
        return Verdict(key, group, about, "skipped", (), why=why)
    calls = tuple(f"{c.note}: {describe_call(c)}" for c in actual.calls)
    if actual.end is not None:
        calls = (*calls, f"{actual.end.call or 'the guest'}: {describe_end(actual.end)}")
    if not comparable(expected):
        return Verdict(key, group, about, "skipped", calls, why="the firmware profile says nothing about it")
    apart = compare(expected, actual)
    if apart is None:
        return Verdict(key, group, about, "passed", calls)
    why = f"{apart.call or 'the guest'}: expected {apart.expected}, got {apart.actual}"
    if actual.end is not None and actual.end.message:
        why += f" ({actual.end.message})"
    return Verdict(key, group, about, "failed", calls, apart.call, apart.expected, apart.actual, why)
