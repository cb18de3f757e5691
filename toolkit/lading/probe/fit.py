"""Which firmware profile foretells what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.probe import suite
from lading.probe.compare import comparable, differences
from lading.probe.observed import explore
from lading.probe.predict import Predictor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.probe.cases import Case
    from lading.probe.compare import Difference
    from lading.probe.observed import ItemResult
    from lading.profiles import FirmwareProfile


@dataclass(frozen=True)
class Fit:
    """How well one profile foretells what was seen."""

    profile: str
    compared: int
    """Items that it says something about."""
    differences: tuple[Difference, ...]


def cases_for(modules: Sequence[str]) -> list[Case]:
    """The environment's cases and those of the import modules that are there."""
    made = suite.environment()
    for module in modules:
        made += suite.cases(module)
    return made


def expected(
    profile: Mapping[str, object], modules: Sequence[str], *, unsafe: bool, named: bool
) -> dict[str, ItemResult]:
    """What a resolved profile foretells of all cases."""
    predictor = Predictor(profile, named=named)
    return explore([*suite.presence(), *cases_for(modules)], predictor, unsafe=unsafe)


def fits(
    results: Mapping[str, ItemResult],
    profiles: Mapping[str, FirmwareProfile],
    modules: Sequence[str],
    *,
    unsafe: bool,
    named: bool,
) -> list[Fit]:
    """All profiles that can run guests, the best first.

    Profiles of other import modules than those that were found are not among them.
    """
    found = []
    for id_, profile in profiles.items():
        if not profile.runs_guests or profile.abi is None or not set(profile.abi.modules) & set(modules):
            continue
        foretold = expected(profile.resolved(), modules, unsafe=unsafe, named=named)
        apart = differences(foretold, results)
        compared = sum(1 for key, r in foretold.items() if key in results and comparable(r))
        found.append(Fit(id_, compared, tuple(apart)))
    return sorted(found, key=lambda fit: (len(fit.differences), fit.profile))
