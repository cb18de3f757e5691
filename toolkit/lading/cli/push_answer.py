"""How a push is told: a document's keys, and the lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.cli.keeping_answer import pending_line
from lading.cli.screen import counted
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen
    from lading.client import PushResult


def push_document(result: PushResult) -> dict[str, Any]:
    """The keys that every document about a push has."""
    return {
        "app": result.app,
        "release": result.release,
        "already_current": result.already_current,
        "previous": result.previous,
        "variant": result.variant,
        "runtime": result.runtime,
        "sent_blobs": result.sent_blobs,
        "sent_bytes": result.sent_bytes,
        "present_blobs": result.present_blobs,
        "present_bytes": result.present_bytes,
        "golden": result.golden,
        "smoke": result.smoke,
        "pending": result.pending,
        "code": result.code,
        "dry_run": result.dry_run,
    }


def say_push(screen: Screen, result: PushResult, prefix: str = "") -> None:
    """Say on standard error what a push moved and what the device found."""
    would = "would send" if result.dry_run else "sent"
    screen.note(
        f"{prefix}{would} {counted(result.sent_blobs, 'blob')} ({format_size(result.sent_bytes)}), "
        f"{counted(result.present_blobs, 'blob')} ({format_size(result.present_bytes)}) already there",
        style="",
    )
    for vector in result.golden:
        values = counted(vector.get("compared", 0), "value")
        unit = (vector.get("mismatch") or {}).get("unit", "") or vector.get("unit", "")
        screen.note(
            f"{prefix}golden vector {vector['index'] + 1} of {vector['model']}: ok, "
            f"{values}, worst difference {vector.get('worst', 0):g} {unit}".rstrip(),
            style="green",
        )
    for smoke in result.smoke:
        words = " ".join(smoke.get("args", ()))
        screen.note(f"{prefix}smoke run `{words}`: ok", style="green")
    if result.dry_run:
        screen.note(f"{prefix}{result.app} {result.release}: nothing was changed", style="")
    elif result.already_current:
        screen.note(f"{prefix}{result.app} {result.release} was current already", style="bold")
    else:
        before = f" (before: {result.previous})" if result.previous else ""
        screen.note(f"{prefix}{result.app} {result.release} is current{before}", style="bold green")
    if result.runtime != "lading":
        screen.note(f"{prefix}it runs on the device's own {result.runtime}", style="")
    if result.pending:
        screen.note(f"{prefix}{pending_line(result.pending)}", style="yellow")
