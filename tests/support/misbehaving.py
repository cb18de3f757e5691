"""Runtimes with a fault, for the suites that have to find it: predictions of a profile, changed in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lading.probe.predict import Predictor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.probe.observed import GuestResult
    from lading.probe.script import Program, RawCall

Change = "Callable[[RawCall, int], int]"


class Misbehaving:
    """Behaves as a profile says, but for the errno of some calls.

    Args:
        profile: the resolved profile.
        change: from a call and its errno to the errno that is given.
    """

    names = True

    def __init__(self, profile: Mapping[str, object], change: Callable[[RawCall, int], int]) -> None:
        self._predictor = Predictor(profile)
        self._change = change

    def __call__(self, programs: Sequence[Program]) -> list[GuestResult]:
        return [self._changed(p, r) for p, r in zip(programs, self._predictor(programs), strict=True)]

    def _changed(self, program: Program, result: GuestResult) -> GuestResult:
        calls = {n: (self._change(program.calls[n], errno), w) for n, (errno, w) in result.calls.items()}
        return replace(result, calls=calls)
