"""A push over SSH that is cut, or whose client, session or agent dies: the board is on the old release or the new one.

A sample; ``scripts/soak ssh`` tries each step and many more cuts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading_agent.store.steps import STEPS
from tests.support.ssh_matrix import FAULTS, Case, Yard, cuts, try_case, yard

if TYPE_CHECKING:
    from collections.abc import Iterator

CUTS = 20
SAMPLE = ("receive", "blob-rename", "release-rename", "golden", "switch-rename", "history")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    folder = tmp_path_factory.mktemp("yard")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        with yard(folder) as made:
            yield made


def good(ground: Yard, case: Case) -> str:
    outcome = try_case(ground, case)
    assert outcome.wrong == [], str(case)
    return outcome.on


@pytest.mark.parametrize("number", range(CUTS))
def test_a_connection_cut_at_any_octet(ground: Yard, number: int) -> None:
    good(ground, cuts(ground.octets, CUTS)[number])


@pytest.mark.parametrize("step", SAMPLE)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_a_step(ground: Yard, fault: str, step: str) -> None:
    assert step in STEPS
    good(ground, Case(fault, step))
