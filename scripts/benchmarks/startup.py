"""How long until the command line answers, against an empty Python."""

from __future__ import annotations

import sys
from pathlib import Path

from scripts.benchmarks.timing import ms, paired, process


def measure() -> dict[str, float]:
    empty = process([sys.executable, "-c", "pass"])
    lading = Path(sys.executable).with_name("lading")
    version, reference = paired(process([lading, "--version"]), empty, 15)
    help_, reference_again = paired(process([lading, "--help"]), empty, 15)
    return {
        "python_pass_ms": ms((reference + reference_again) / 2),
        "version_ms": ms(version),
        "help_ms": ms(help_),
        "version_ratio": round(version / reference, 2),
        "help_ratio": round(help_ / reference_again, 2),
    }
