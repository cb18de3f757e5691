"""How a runner process is started: the one place that knows which program it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Optional, Protocol, runtime_checkable

from lading_agent.runs.spec import RunSpec

if TYPE_CHECKING:
    from lading_agent.runs.result import RunResult

RunnerCommand = Callable[[RunSpec], List[str]]
"""From a run to the program and its first arguments; ``--spec``, ``--report`` and ``--phase`` are added to them. One
that has none raises :class:`CannotLaunch`; one that knows more about how a run ended is a :class:`Doctor` too."""

_HERE = Path(__file__).absolute()
"""Taken early: a runner starts in another directory than ours."""


class CannotLaunch(RuntimeError):
    """No program can do this run here. The run ends with status 125 and this kind."""

    def __init__(self, kind: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.remedy = remedy


@runtime_checkable
class Doctor(Protocol):
    """A :data:`RunnerCommand` that looks for the cause when a run ended badly."""

    def examine(self, spec: RunSpec, result: RunResult) -> RunResult:
        """What the run's end really was."""
        ...


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
