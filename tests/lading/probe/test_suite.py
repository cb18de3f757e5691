"""The cases themselves: tagged unsafe where any shipped profile knows a crash, assembled, small, each named once."""

from __future__ import annotations

import pytest

from lading import profiles
from lading.probe import suite
from lading.probe.cases import WITX
from lading.probe.fit import cases_for
from lading.probe.guests import MOST_BYTES, assemble
from lading.probe.observed import explore
from lading.probe.predict import Predictor
from lading.probe.script import LAYOUT_OF
from lading_agent.nn.decode import PARAMETERS

HOSTS = {id_: profile for id_, profile in profiles.load_all().items() if profile.runs_guests}


@pytest.mark.parametrize("id_", HOSTS)
def test_nothing_that_is_known_to_crash_a_host_is_tried_without_being_asked_for(id_: str) -> None:
    profile = HOSTS[id_]
    assert profile.abi is not None
    cases = [*suite.presence(), *cases_for(profile.abi.modules)]
    results = explore(cases, Predictor(profile.resolved()), unsafe=False)
    crashes = {k: r.end.message for k, r in results.items() if r.end is not None and r.end.outcome in ("abort", "segv")}
    assert crashes == {}


@pytest.mark.parametrize("module", LAYOUT_OF)
def test_every_item_has_a_name_of_its_own(module: str) -> None:
    keys = [f"{c.id}/{i.id}" for c in [*suite.presence(), *cases_for([module])] for i in c.items]
    assert len(keys) == len(set(keys))
    assert all(i.about for c in cases_for([module]) for i in c.items)


@pytest.mark.parametrize("module", LAYOUT_OF)
def test_every_function_is_called_and_every_guest_is_small(module: str) -> None:
    called = set()
    for case in [*suite.presence(), *cases_for([module])]:
        program = case.program(case.items)
        called |= set(program.functions)
        assert 0 < len(assemble(program)) <= MOST_BYTES, case.id
    assert called == set(PARAMETERS[LAYOUT_OF[module]])


def test_guests_are_the_same_every_time() -> None:
    first = [assemble(c.program(c.items)) for c in suite.cases(WITX)]
    assert first == [assemble(c.program(c.items)) for c in suite.cases(WITX)]


def test_without_unsafe_the_unsafe_items_are_left_out() -> None:
    profile = HOSTS["lading-litert"]
    predictor = Predictor(profile.resolved())
    safe = explore(suite.cases(WITX), predictor, unsafe=False)
    every = explore(suite.cases(WITX), predictor, unsafe=True)
    assert set(safe) < set(every)
    assert {"order/output-first", "limit/graphs", "type/qi8/1-f32", "handle/index-huge"} <= set(every) - set(safe)
