"""The conformance suite: native runner and Python host do the same in every case, and what the profile foretells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading_agent.runs.launch import python_runner
from tests.support import conforming
from tests.support.arm64 import emulated
from tests.support.hosts import native
from tests.support.sanitized import sanitized

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

LITERT = "lading-litert"
CASES, CALLS = 300, 450
"""There are at least so many: a suite that shrinks by accident proves less."""


@pytest.fixture(scope="module")
def ours() -> conforming.Suite:
    return conforming.on_host(profiles.find(LITERT), native())


def test_both_hosts_do_the_same_in_every_case(ours: conforming.Suite) -> None:
    python = conforming.on_host(profiles.find(LITERT), python_runner)
    assert conforming.differences(ours, python) == []
    assert len(ours.items) >= CASES
    assert ours.calls >= CALLS


@pytest.mark.parametrize("id_", [LITERT, "wasi-nn-witx"])
def test_the_native_runner_does_what_its_profiles_foretell(id_: str) -> None:
    result = conforming.judged(profiles.find(id_), native())
    assert [v.why for v in result.verdicts if v.state == "failed"] == []
    assert result.count("passed") >= CASES - 20


def test_sanitizers_find_nothing_in_the_suite(ours: conforming.Suite, tmp_path: Path) -> None:
    build = sanitized(tmp_path)
    found = conforming.differences(conforming.on_host(profiles.find(LITERT), build), ours)
    assert build.reports() == ""
    assert found == []


def test_the_aarch64_runner_does_the_same_in_every_case(ours: conforming.Suite, tmp_path: Path) -> None:
    found = conforming.differences(conforming.on_host(profiles.find(LITERT), emulated(tmp_path)), ours)
    assert found == []


def test_the_command_judges_one_of_our_hosts(lading: Lading) -> None:
    native()
    asked = ("conformance", "--host", "native", "--group", "output", "--personality")
    document = lading.json(*asked, LITERT)
    assert document["failed"] == 0
    assert document["passed"] > 0
    assert "does not speak wamr-2.4" in lading(*asked, "wamr-2.4", expect=2).err
    assert "--host" in lading(*asked, LITERT, "emulated://raspberry-pi-4b", expect=2).err
