"""What a device answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading.client.said import items, members, number
from lading_agent.runs.result import RunResult as Ended

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class PushResult:
    """What a push did, or (``dry_run``) would do."""

    app: str
    release: str
    variant: str
    already_current: bool
    previous: str | None
    """The release that was current before; a rollback goes there."""
    sent_blobs: int
    sent_bytes: int
    """Octets that had to be sent."""
    resumed_bytes: int
    """Octets that an interrupted push had brought before."""
    present_blobs: int
    present_bytes: int
    """What the device had already."""
    golden: list[dict[str, Any]] = field(default_factory=list)
    """One a golden vector: ``index``, ``model``, ``ok``, ``compared``, ``worst`` …"""
    smoke: list[dict[str, Any]] = field(default_factory=list)
    """One a smoke run: ``index``, ``args``, ``exit``, ``ok``."""
    dry_run: bool = False
    code: dict[str, Any] = field(default_factory=dict)
    """The guest, compiled ahead: ``state`` (``compiled``, ``present``, ``failed``, ``off``), ``bytes``, ``ms``."""
    runtime: str = "lading"
    """What runs it on the device."""
    pending: dict[str, Any] | None = None
    """Where the current release waits to be confirmed: ``release``, ``previous``, ``within_s``, ``left_s`` …"""
    timings: dict[str, float] = field(default_factory=dict)
    """Milliseconds on the device: ``transfer_ms``, ``compile_ms``, ``golden_ms``, ``smoke_ms``."""

    @property
    def skipped_bytes(self) -> int:
        """Octets that were not sent."""
        return self.present_bytes + self.resumed_bytes

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> PushResult:
        """Read the agent's reply; what it does not say is empty."""
        return cls(
            app=str(doc.get("app", "")),
            release=str(doc.get("release", "")),
            variant=str(doc.get("variant", "default")),
            already_current=bool(doc.get("already_current")),
            previous=doc.get("previous"),
            sent_blobs=number(doc, "sent_blobs", 0),
            sent_bytes=number(doc, "sent_bytes", 0),
            resumed_bytes=number(doc, "resumed_bytes", 0),
            present_blobs=number(doc, "present_blobs", 0),
            present_bytes=number(doc, "present_bytes", 0),
            golden=items(doc, "golden"),
            smoke=items(doc, "smoke"),
            dry_run=bool(doc.get("dry_run")),
            code=members(doc, "code"),
            runtime=str(doc.get("runtime", "lading")),
            pending=dict(doc["pending"]) if isinstance(doc.get("pending"), dict) else None,
            timings=members(doc, "timings"),
        )


@dataclass(frozen=True)
class RunResult(Ended):
    """How a run on a device ended."""

    app: str = ""
    release: str = ""

    @classmethod
    def from_json(cls, doc: Mapping[str, Any]) -> RunResult:
        """Read the agent's reply."""
        ended = Ended.from_json({**doc, "status": number(doc, "status", 125)})
        return cls(
            outcome=ended.outcome,
            status=ended.status,
            kind=ended.kind,
            message=ended.message,
            remedy=ended.remedy,
            metrics=ended.metrics,
            app=str(doc.get("app", "")),
            release=str(doc.get("release", "")),
        )
