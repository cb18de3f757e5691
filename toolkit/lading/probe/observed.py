"""What came of a probe guest, read from what it printed and how it ended; and of a case, put together from guests."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.probe.guests import MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading.probe.cases import Case, Item
    from lading.probe.script import Program

MOST_OUTPUT: Final = 256 * 1024
"""Bytes of a guest's output that are read."""

_CALL = re.compile(rb"^%s call ([0-9a-f]{8}) ([0-9a-f]{8})((?: [0-9a-f]{2,64})*)\s*$" % MARK.encode())


@dataclass(frozen=True)
class CallResult:
    """One call that came back."""

    function: str
    errno: int
    watched: tuple[bytes, ...] = ()
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The call as it stands in reports."""
        return {"call": self.note or self.function, "errno": self.errno, "memory": [w.hex() for w in self.watched]}


@dataclass(frozen=True)
class End:
    """How a guest ended."""

    outcome: str
    """``exit``, ``trap``, ``abort``, ``segv``, ``link-error``, ``not-loadable``, ``failed``; ``died`` when all that is
    known is that it did not get to its end."""
    status: int
    """Exit status; 128 plus the number of a signal."""
    message: str = ""
    call: str = ""
    """The call that did not come back, in words; empty when it was not in one."""

    def to_json(self) -> dict[str, Any]:
        """The end as it stands in reports."""
        return {"outcome": self.outcome, "status": self.status, "call": self.call, "message": self.message}


NORMAL: Final = End("exit", 0)


@dataclass(frozen=True)
class GuestResult:
    """One run of one guest."""

    calls: Mapping[int, tuple[int, tuple[bytes, ...]]]
    """Errno and watched memory by the number of the call."""
    end: End
    began: bool = False
    finished: bool = False


Run = Callable[[Sequence["Program"]], Sequence[GuestResult]]
"""Runs guests, each in a process of its own, and gives one result for each."""


@dataclass(frozen=True)
class ItemResult:
    """What came of one item of a case."""

    case: str
    item: str
    calls: tuple[CallResult, ...]
    """The calls of the item that came back."""
    end: End | None = None
    """How the guest ended, if it did so in this item."""
    reached: bool = True
    """False when the guest ended before this item, where a fresh one would, too."""
    prepared: bool = True
    """Whether all calls of the prologue succeeded."""

    @property
    def key(self) -> str:
        """The item's full name."""
        return self.case if self.item == "-" else f"{self.case}/{self.item}"

    @property
    def errno(self) -> int | None:
        """The errno of the last call; None when it did not come back."""
        return self.calls[-1].errno if self.calls and (self.end is None or not self.end.call) else None

    def to_json(self) -> dict[str, Any]:
        """The result as it stands in reports."""
        return {
            "case": self.key,
            "calls": [c.to_json() for c in self.calls],
            "end": self.end.to_json() if self.end is not None else None,
        }


def read_output(program: Program, output: bytes, end: End) -> GuestResult:
    """What a guest said, whatever else is in its output.

    Args:
        program: what the guest was made from.
        output: its standard output.
        end: how it ended.
    """
    calls: dict[int, tuple[int, tuple[bytes, ...]]] = {}
    began = finished = False
    for line in output[:MOST_OUTPUT].split(b"\n"):
        at = line.find(MARK.encode())
        if at < 0:
            continue
        said = line[at:].rstrip()
        if said == f"{MARK} begin".encode():
            began = True
        elif said == f"{MARK} end".encode():
            finished = True
        elif found := _CALL.match(said):
            number = int(found[1], 16)
            watched = tuple(bytes.fromhex(w.decode()) for w in found[3].split())
            asked = program.calls[number].watch if number < len(program.calls) else ()
            if number < len(program.calls) and [len(w) for w in watched] == [length for _, length in asked]:
                calls[number] = (int(found[2], 16), watched)
    return GuestResult(calls, end, began, finished)


@dataclass
class _Work:
    """A case with the items that are still to be done."""

    case: Case
    items: list[Item]
    results: dict[str, ItemResult] = field(default_factory=dict)


def explore(
    cases: Iterable[Case], run: Run, *, unsafe: bool, on_round: Callable[[int], None] | None = None
) -> dict[str, ItemResult]:
    """Do all cases.

    A guest that ends before its last item is followed by a fresh one that goes on after that item.

    Args:
        cases: what is done.
        run: runs guests.
        unsafe: also what may crash a host.
        on_round: told how many guests the next round has.

    Returns:
        The results by the items' full names, in the order of the cases.
    """
    works = [_Work(case, list(case.wanted(unsafe=unsafe))) for case in cases]
    todo: list[tuple[_Work, list[Item]]] = []
    for work in works:
        if work.items:
            share = work.case.share
            todo += [(work, work.items[at : at + share]) for at in range(0, len(work.items), share)]
    while todo:
        programs = [work.case.program(items) for work, items in todo]
        if on_round is not None:
            on_round(len(programs))
        after: list[tuple[_Work, list[Item]]] = []
        for (work, items), program, result in zip(todo, programs, run(programs), strict=True):
            left = _take(work, items, program, result)
            if left:
                after.append((work, left))
        todo = after
    return {r.key: r for work in works for item in work.items if (r := work.results.get(item.id)) is not None}


def _take(work: _Work, items: list[Item], program: Program, result: GuestResult) -> list[Item]:
    """Split a guest's result among its items; returns those that a fresh guest has to do."""
    stopped, call = _stopped_at(program, result)
    prepared = all(result.calls.get(n, (1,))[0] == 0 for n, c in enumerate(program.calls) if c.item < 0)
    for number, item in enumerate(items):
        calls = tuple(
            CallResult(c.function, result.calls[n][0], result.calls[n][1], c.note)
            for n, c in enumerate(program.calls)
            if c.item == number and n in result.calls
        )
        end = None
        if stopped is not None and number >= max(stopped, 0):
            end = End(result.end.outcome, result.end.status, result.end.message, call)
        work.results[item.id] = ItemResult(
            work.case.id, item.id, calls, end, reached=stopped is None or stopped >= 0, prepared=prepared
        )
        if end is not None and stopped is not None and stopped >= 0:
            return items[number + 1 :]
    return []


def _stopped_at(program: Program, result: GuestResult) -> tuple[int | None, str]:
    """The item in which the guest ended (-1 before all of them, None when it did all), and the call that was made."""
    last = max((c.item for c in program.calls), default=0)
    if not program.memory or program.raw is not None or program.feature or not result.began:
        # Guests that say nothing are judged by their end alone.
        return (0, "") if (last <= 0 and not program.calls) or not program.memory else (-1, "")
    item, ok = -1, True
    for number, call in enumerate(program.calls):
        if call.item != item:
            item, ok = call.item, True
        if number in result.calls:
            ok = ok and result.calls[number][0] == 0
        elif ok or not call.if_ok:
            return item, call.note
    if not result.finished or result.end.outcome != "exit" or result.end.status != 0:
        return last, ""
    return None, ""
