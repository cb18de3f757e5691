"""Power cuts on a real board under QEMU: at every step of a push, and at random moments of it."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.power_cuts import cuts, tally, try_cut, yard

MOMENTS = 50


def soak(part: int, parts: int, *, moments: int = MOMENTS) -> dict[str, Any]:
    """A cut at each step and ``moments`` others; ``failures`` counts those that did not end as they should."""
    begin = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="soak-board-") as folder, yard(Path(folder)) as ground:
        cases = cuts(moments)[part::parts]
        for number, cut in enumerate(cases, 1):
            outcomes.append(try_cut(ground, cut))
            wrong = "".join(f"  WRONG: {text}" for text in outcomes[-1].wrong)
            sys.stderr.write(f"{number}/{len(cases)} {cut}: {outcomes[-1].on}{wrong}\n")
    at_steps = [outcome for outcome in outcomes if outcome.cut.step is not None]
    at_moments = [outcome for outcome in outcomes if outcome.cut.step is None]
    return {
        "part": f"{part}/{parts}",
        **tally(outcomes),
        "at_steps": tally(at_steps),
        "at_moments": tally(at_moments),
        "failures": sum(bool(outcome.wrong) for outcome in outcomes),
        "seconds": round(time.monotonic() - begin, 1),
    }
