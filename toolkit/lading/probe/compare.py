"""Whether what came of a case is what a firmware profile foretells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.probe.predict import UNKNOWN
from lading.probe.script import SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.probe.observed import CallResult, End, ItemResult

_UNWRITTEN: Final = b"\xee" * 4
_BY_STATUS: Final = ("exit", "died")
"""Ends of which only the status is certain: a program that is watched from outside says no more."""


@dataclass(frozen=True)
class Difference:
    """One item that came out otherwise."""

    item: str
    call: str
    expected: str
    actual: str

    def to_json(self) -> dict[str, Any]:
        """The difference as it stands in reports."""
        return {"item": self.item, "call": self.call, "expected": self.expected, "actual": self.actual}


def comparable(expected: ItemResult) -> bool:
    """Whether anything is foretold of an item at all."""
    return expected.end is None or expected.end.outcome != "unknown"


def differences(expected: Mapping[str, ItemResult], actual: Mapping[str, ItemResult]) -> list[Difference]:
    """The items in which two explorations differ; items that one of them does not have are left out."""
    found = []
    for key, foretold in expected.items():
        seen = actual.get(key)
        if seen is not None and (difference := compare(foretold, seen)) is not None:
            found.append(difference)
    return found


def compare(expected: ItemResult, actual: ItemResult) -> Difference | None:
    """The first difference in one item, or None."""
    if not comparable(expected):
        return None
    for foretold, seen in zip(expected.calls, actual.calls, strict=False):
        if foretold.function != seen.function or not _same_call(foretold, seen):
            return Difference(expected.key, seen.note, describe_call(foretold), describe_call(seen))
    if len(expected.calls) != len(actual.calls) or not _same_end(expected.end, actual.end):
        more = max(expected.calls, actual.calls, key=len)[min(len(expected.calls), len(actual.calls)) :]
        call = next((e.call for e in (actual.end, expected.end) if e is not None and e.call), "")
        call = call or (more[0].note if more else "")
        return Difference(expected.key, call, _describe_rest(expected, actual), _describe_rest(actual, expected))
    return None


def _same_call(expected: CallResult, actual: CallResult) -> bool:
    if expected.errno != actual.errno:
        return False
    if len(expected.watched) != len(actual.watched):
        return False
    if expected.function in ("get_output", "get_output_single"):
        size, data = expected.watched
        same_size = size == actual.watched[0]
        return same_size and (expected.errno != 0 or data in (UNKNOWN, actual.watched[1]))
    # Which numbers a host gives as handles is its own business; whether it gives one is not.
    return all((e == _UNWRITTEN) == (a == _UNWRITTEN) for e, a in zip(expected.watched, actual.watched, strict=True))


def _same_end(expected: End | None, actual: End | None) -> bool:
    if expected is None or actual is None:
        return expected is actual
    if expected.status != actual.status:
        return False
    return expected.outcome == actual.outcome or actual.outcome in _BY_STATUS or expected.outcome in _BY_STATUS


def describe_call(result: CallResult) -> str:
    """``errno 7, size 16``, as far as there is something to say."""
    text = "success" if result.errno == 0 else f"errno {result.errno}"
    if result.function in ("get_output", "get_output_single") and result.watched:
        size = result.watched[0]
        text += ", no size" if size == _UNWRITTEN else f", size {int.from_bytes(size, 'little')}"
        if result.errno == 0 and result.watched[1]:
            shown = min(int.from_bytes(size, "little"), SHOWN) or SHOWN
            text += f", data {result.watched[1][:shown].hex()}"
    elif result.watched:
        text += ", no handle" if result.watched[0] == _UNWRITTEN else ", a handle"
    return text


def describe_end(end: End | None) -> str:
    """``trap (exit status 134)``."""
    if end is None:
        return "goes on"
    return f"{end.outcome} (exit status {end.status})"


def _describe_rest(result: ItemResult, other: ItemResult) -> str:
    more = result.calls[len(other.calls) :]
    if more:
        return describe_call(more[0])
    return describe_end(result.end)
