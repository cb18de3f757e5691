"""The power of a real board goes in the middle of a push: it comes up on the old release or on the new one, whole.

A sample; ``scripts/soak board`` cuts at every step and at many more moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.power_cuts import PLAIN, Cut, Yard, cuts, try_cut, yard

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = ("receive", "release-rename", "switch-rename")
MOMENTS = 2


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with yard(tmp_path_factory.mktemp("yard")) as made:
        yield made


@pytest.mark.parametrize("cut", cuts(MOMENTS, STEPS), ids=str)
def test_a_power_cut_leaves_the_old_release_or_the_new_one(ground: Yard, cut: Cut) -> None:
    assert cut.step is None or cut.step in PLAIN
    outcome = try_cut(ground, cut)
    assert outcome.wrong == [], str(cut)
    assert outcome.on in ("old", "new")
    if cut.step in STEPS[:2]:
        assert outcome.on == "old"
    if cut.step == "release-rename":
        assert outcome.resumed > 3_000_000, "the next push began anew"
