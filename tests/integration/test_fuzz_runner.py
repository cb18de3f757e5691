"""The native runner's fuzzer: a short slice of it finds nothing, and it would find a mistake if there were one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from scripts import fuzzing


@pytest.fixture(autouse=True)
def compiler() -> None:
    for program in (os.environ.get("CC", "gcc"), "objdump"):
        if shutil.which(program) is None:
            if os.environ.get("CI") == "true":
                pytest.fail(f"there is no {program}")
            pytest.skip(f"there is no {program}")


def test_a_slice_of_every_target_finds_nothing(tmp_path: Path) -> None:
    figures = fuzzing.fuzz(tmp_path, runs=150, seed=7)
    assert figures["findings"] == []
    assert figures["failures"] == 0
    assert figures["targets"] == dict.fromkeys(fuzzing.TARGETS, 150)
    assert figures["places_reached"] > figures["places"] / 2


def test_a_bound_that_is_off_by_four_is_found(tmp_path: Path) -> None:
    source = shutil.copytree(fuzzing.SOURCE, tmp_path / "source", ignore=shutil.ignore_patterns("bin"))
    path = source / "call.c"
    right = "r->at + r->size <= call->memory_size"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, "r->at + r->size <= call->memory_size + 4"))
    figures = fuzzing.fuzz(tmp_path / "work", runs=400, seed=7, only="calls", source=source)
    assert figures["failures"] > 0
    assert "heap-buffer-overflow" in Path(figures["findings"][0]).read_text()
