"""How a run ended, for whoever asked for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Mapping


@dataclass(frozen=True)
class RunResult:
    """The end of a run."""

    outcome: str
    """One of :data:`lading_agent.runs.report.OUTCOMES`."""
    status: int
    """Exit status of the run: the guest's own, or the host's when the host ended it."""
    kind: str
    """A short stable name: ``exit``, ``trap``, ``time-limit``, ``out-of-memory``, …"""
    message: str = ""
    remedy: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> Dict[str, Any]:
        """A JSON-ready document."""
        return {**asdict(self), "metrics": dict(self.metrics)}

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> RunResult:
        """Read a document written by :meth:`to_json`; unknown keys are left alone."""
        metrics = doc.get("metrics")
        return cls(
            outcome=str(doc.get("outcome", "failed")),
            status=int(doc.get("status", 125)),
            kind=str(doc.get("kind", "failed")),
            message=str(doc.get("message", "")),
            remedy=str(doc.get("remedy", "")),
            metrics=dict(metrics) if isinstance(metrics, Mapping) else {},
        )
