"""Guests run for tests as the command line and the agent run them: supervised, in a process of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading.emulate import EmulateOptions, run_spec
from lading_agent.runs import supervise

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading_agent.runs.result import RunResult
    from lading_agent.runs.spec import RunSpec


@dataclass
class Ran:
    """What a run left behind."""

    result: RunResult
    out: str
    err: str
    events: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> int:
        """The exit status."""
        return self.result.status

    @property
    def log(self) -> str:
        """The host's log."""
        return "\n".join(str(event["text"]) for event in self.events if event["event"] == "log")


def run_module(module: Path, options: EmulateOptions) -> Ran:
    """Run a bare module."""
    return run(run_spec(module, options))


def run(spec: RunSpec) -> Ran:
    """Run what the specification says and collect everything."""
    out, err = bytearray(), bytearray()
    events: list[Mapping[str, Any]] = []
    result = supervise.run(spec, on_stdout=out.extend, on_stderr=err.extend, on_report=events.append)
    return Ran(result, out.decode(), err.decode(), events)
