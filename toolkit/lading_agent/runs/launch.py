"""How a runner process is started: the one place that knows which program it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, List, Optional

from lading_agent.runs.spec import RunSpec

RunnerCommand = Callable[[RunSpec], List[str]]
"""From a run to the program and its first arguments; ``--spec``, ``--report`` and ``--phase`` are added to them."""

_HERE = Path(__file__).absolute()
"""Taken early: a runner starts in another directory than ours."""


def python_runner(spec: RunSpec) -> List[str]:  # noqa: ARG001
    """The Python host, run by this very interpreter, from this very package or zipapp."""
    archive = zipapp_path()
    if archive is not None:
        return [sys.executable, str(archive), "runner"]
    return [sys.executable, "-m", "lading_agent.nn.process"]


def zipapp_path() -> Optional[Path]:
    """The zip file that this package was imported from, if it was."""
    for parent in _HERE.parents:
        if parent.is_file():
            return parent
    return None
