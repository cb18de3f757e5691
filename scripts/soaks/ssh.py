"""A push over a real SSH server: the connection cut at many octets, and everything that can happen at each step."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.ssh_matrix import cuts, steps, tally, try_case, yard

CUTS = 200


def soak(part: int, parts: int, *, count: int = CUTS) -> dict[str, Any]:
    """All steps × all faults, and ``count`` cuts; ``failures`` counts cases that did not end as they should."""
    begin = time.monotonic()
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="soak-ssh-") as folder:
        os.environ["XDG_CACHE_HOME"] = str(Path(folder) / "cache")
        with yard(Path(folder)) as ground:
            cases = [*cuts(ground.octets, count), *steps()][part::parts]
            for number, case in enumerate(cases, 1):
                outcomes.append(try_case(ground, case))
                wrong = "".join(f"  WRONG: {text}" for text in outcomes[-1].wrong)
                sys.stderr.write(f"{number}/{len(cases)} {case}: {outcomes[-1].on}{wrong}\n")
    kinds = sorted({outcome.case.fault for outcome in outcomes})
    document = {
        "part": f"{part}/{parts}",
        **tally(outcomes),
        "faults": {kind: tally([o for o in outcomes if o.case.fault == kind]) for kind in kinds},
        "failures": sum(bool(outcome.wrong) for outcome in outcomes),
        "seconds": round(time.monotonic() - begin, 1),
    }
    sys.stderr.write(_table(document))
    return document


def _table(document: dict[str, Any]) -> str:
    columns = ("cases", "old", "new", "between")
    lines = [f"{'':14}" + "".join(f"{column:>9}" for column in columns)]
    for name, figures in (*document["faults"].items(), ("all", document)):
        lines.append(f"{name:14}" + "".join(f"{figures[column]:>9}" for column in columns))
    return "\n".join(lines) + "\n"
