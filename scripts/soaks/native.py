"""Native against Python: every guest × every model on both hosts, and the conformance suite."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading import profiles
from lading_agent.runs.launch import python_runner
from lading_agent.runs.native import native_runner
from tests.support import conforming
from tests.support.native_matrix import run_native
from tests.support.sanitized import sanitized

if TYPE_CHECKING:
    from lading_agent.runs.native import NativeRunner
    from tests.support.sanitized import Sanitized

PERSONALITY = "lading-litert"


def soak(part: int, parts: int, *, with_sanitizers: bool = False) -> dict[str, Any]:
    """Both hosts under ``lading-litert``; ``failures`` counts disagreements and sanitizers' reports."""
    with tempfile.TemporaryDirectory(prefix="soak-native-") as folder:
        if not with_sanitizers:
            return _soak(native_runner(), part, parts)
        build = sanitized(Path(folder))
        document = _soak(build, part, parts)
        reports = build.reports()
    return {**document, "reports": reports, "failures": document["failures"] + bool(reports)}


def _soak(command: NativeRunner | Sanitized, part: int, parts: int) -> dict[str, Any]:
    figures = run_native(command, part, parts, personality=PERSONALITY)
    disagreements = list(figures.disagreements)
    document: dict[str, Any] = {
        "part": f"{part}/{parts}",
        "cases": figures.cases,
        "calls": figures.calls,
        "inferences": figures.inferences,
        "ends": figures.ends,
    }
    if part == 0:
        profile = profiles.find(PERSONALITY)
        ours, python = conforming.on_host(profile, command), conforming.on_host(profile, python_runner)
        disagreements += conforming.differences(ours, python)
        document["conformance"] = {"cases": len(ours.items), "guests": ours.guests, "calls": ours.calls}
    return {
        **document,
        "disagreements": disagreements,
        "failures": len(disagreements),
        "seconds": round(figures.seconds, 1),
    }
