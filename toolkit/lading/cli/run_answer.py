"""How the end of a run is told: a document's keys, and the lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from lading.cli.screen import counted, duration
from lading.units import format_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.cli.guest_output import GuestOutput
    from lading.cli.screen import Screen


class Ended(Protocol):
    """A run's end, whoever supervised it."""

    @property
    def outcome(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def kind(self) -> str: ...  # noqa: D102
    @property
    def message(self) -> str: ...  # noqa: D102
    @property
    def remedy(self) -> str: ...  # noqa: D102
    @property
    def metrics(self) -> Mapping[str, Any]: ...  # noqa: D102


def run_document(result: Ended, output: GuestOutput) -> dict[str, Any]:
    """The keys that every document about a run has."""
    return {
        "status": result.status,
        "outcome": result.outcome,
        "kind": result.kind,
        "message": result.message,
        "remedy": result.remedy,
        "metrics": dict(result.metrics),
        **output.document(),
    }


def say_end(screen: Screen, result: Ended, prefix: str = "") -> None:
    """Say on standard error how a run ended, unless the guest just ended by itself."""
    if result.outcome == "exit":
        return
    screen.failure(f"{prefix}{result.kind}: {result.message}", result.remedy)


def say_figures(screen: Screen, metrics: Mapping[str, Any], prefix: str = "") -> None:
    """Say on standard error what a run took, and what ran it."""
    for line in (metrics_line(metrics), runtime_line(metrics)):
        if line:
            screen.note(prefix + line)


CODE: Final = {"loaded": "compiled code loaded", "compiled": "guest compiled, kept for the next run"}


def runtime_line(metrics: Mapping[str, Any]) -> str:
    """Which host ran the guest, on which engines, and whether it had to be compiled."""
    parts = [str(metrics.get("runtime") or ""), CODE.get(str(metrics.get("code")), "")]
    return " · ".join(part for part in parts if part)


def metrics_line(metrics: Mapping[str, Any]) -> str:
    """Load, first and steady inference, peak memory: what is known of them, in one line."""
    parts: list[str] = []
    for key, label in (
        ("load_ms", "load"),
        ("first_ms", "first inference"),
        ("median_ms", "median"),
        ("p95_ms", "p95"),
    ):
        if metrics.get(key) is not None:
            parts.append(f"{label} {duration(metrics[key] / 1e3)}")
    if metrics.get("inferences"):
        parts.append(counted(metrics["inferences"], "inference"))
    if metrics.get("peak_memory_bytes"):
        parts.append(f"peak memory {format_memory(metrics['peak_memory_bytes'])}")
    return " · ".join(parts)
