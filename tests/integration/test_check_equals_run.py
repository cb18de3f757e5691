"""The check's word is the emulated host's deed: for each guest, model and firmware profile, without exceptions.

Here a sample of the matrix runs (``LADING_SAMPLE=N`` takes the N-th); ``scripts/soak check`` runs all of it.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tests.support import differential

if TYPE_CHECKING:
    import pytest

PARTS = 20
"""One pair of guest and model in so many, each on every firmware profile."""


def test_the_matrix_is_as_large_as_promised() -> None:
    models = differential.models()
    kinds = {t.dtype for m in models for t in (*m.facts.inputs, *m.facts.outputs)}
    guests = {case.name for model in models for case in differential.cases(model)}
    assert len(models) >= 8
    assert len(guests) >= 12
    assert {"float32", "float16", "int8", "uint8", "int16", "int32"} <= kinds
    assert any(len(m.facts.inputs) == 2 for m in models)
    assert any(-1 in t.signature for m in models for t in m.facts.inputs)


def test_a_sample_of_all_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    part = int(os.environ.get("LADING_SAMPLE", "7")) % PARTS
    figures = differential.run_matrix(part, PARTS)
    _say(capsys, figures)
    assert figures.pairs
    assert not figures.disagreements, figures.text()


def test_guests_around_a_limit_of_memory(capsys: pytest.CaptureFixture[str]) -> None:
    figures = differential.run_memory()
    _say(capsys, figures)
    assert set(figures.verdicts) >= {"fails", "unknown"}
    assert not figures.disagreements, figures.text()


def _say(capsys: pytest.CaptureFixture[str], figures: differential.Figures) -> None:
    with capsys.disabled():
        sys.stdout.write(f"\n{figures.text()} ({figures.seconds:.0f} s) ")
