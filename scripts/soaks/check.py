"""Check against run: every guest × every model × every firmware profile that runs guests."""

from __future__ import annotations

from typing import Any

from tests.support.differential import Figures, run_matrix, run_recorded


def soak(part: int, parts: int) -> dict[str, Any]:
    """Guests × models × firmware profiles; ``failures`` counts disagreements."""
    return _document(run_matrix(part, parts), part, parts)


def soak_recorded(part: int, parts: int) -> dict[str, Any]:
    """Every conversation of the recordings of real runtimes × firmware profiles."""
    return _document(run_recorded(part, parts), part, parts)


def _document(figures: Figures, part: int, parts: int) -> dict[str, Any]:
    return {
        "part": f"{part}/{parts}",
        "guests_and_models": figures.traced,
        "profiles": figures.profiles,
        "pairs": figures.pairs,
        "verdicts": figures.verdicts,
        "disagreements": figures.disagreements,
        "failures": len(figures.disagreements),
        "seconds": round(figures.seconds, 1),
    }
