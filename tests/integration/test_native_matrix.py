"""A sample of the matrix that ``scripts/soak native`` runs whole: native runner and Python host, call for call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.hosts import native
from tests.support.native_matrix import run_native
from tests.support.sanitized import sanitized

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("only", ["[digits_int8]", "[x_two_in]", "stream"])
def test_hosts_agree_on_every_guest(only: str) -> None:
    figures = run_native(native(), only=only)
    assert figures.disagreements == []
    assert figures.cases > 0
    assert figures.calls > 0


def test_hosts_agree_on_recorded_conversations() -> None:
    figures = run_native(native(), part=7, parts=30, only="recorded")
    assert figures.disagreements == []
    assert figures.calls > 0


def test_sanitizers_find_nothing_in_a_sample(tmp_path: Path) -> None:
    build = sanitized(tmp_path)
    figures = run_native(build, part=7, parts=60)
    assert build.reports() == ""
    assert figures.disagreements == []
    assert figures.cases > 30


@pytest.mark.parametrize("model", ["hello_world", "micro_speech", "simple_add", "trained_lstm"])
def test_hosts_agree_on_models_by_others(model: str) -> None:
    figures = run_native(native(), part=0, parts=4, only=f"[by-others-{model}")
    if not figures.cases:
        pytest.skip("there is no ../shared/models beside the repository")
    assert figures.disagreements == []
