"""The client's side of the request ``engines``: which parts there are, then what is missing of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from lading.client.said import members, number
from lading.client.sending import PACED, Sender
from lading_agent.engines.stored import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from lading.bootstrap.check import Check
    from lading.client.connection import Connection
    from lading.engines import EnginePart


@dataclass(frozen=True)
class InstalledEngines:
    """What came of bringing engines."""

    sent_blobs: int
    sent_bytes: int
    resumed_bytes: int
    metrics: Mapping[str, Any]
    """Of the inference that proved them."""


def list_engines(connection: Connection) -> dict[str, Any]:
    """What engines the device's store holds: ``parts``, and of the default set ``current`` and ``previous``."""
    return connection.ask("engines", action="list")


def roll_back_engines(connection: Connection) -> dict[str, Any]:
    """Make the set before the default one the default; answers as :func:`list_engines`."""
    return connection.ask("engines", action="rollback")


def mark_ready(connection: Connection, ready: str) -> None:
    """Have it written down on a device without engines of its own that all is there."""
    connection.ask("engines", action="ready", ready=ready)


def install_engines(
    connection: Connection,
    parts: Sequence[EnginePart],
    check: Check,
    *,
    ready: str | None = None,
    distrust: bool = False,
    beside: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_event: Callable[[str, Mapping[str, object]], None] | None = None,
) -> InstalledEngines:
    """Bring a set of engines, have the device try it, and make it the default.

    Args:
        connection: to the agent.
        parts: runner, wasmtime and litert.
        check: the inference that the device has to get right.
        ready: written down on the device when all is done (see ``lading_agent.store.ready``).
        distrust: have the device read again what it has.
        beside: keep them beside the default set, which stays what it is.
        progress: called with octets sent, and octets to send.
        on_event: called with what else the device says (``check``).

    Raises:
        EngineFailed: the device tried them, and they do not work there; its old set stays.
        NoSpace, LockHeld, LinkLost: as their names say.
    """
    files: dict[str, Path] = {}
    docs = []
    for part in parts:
        licences = [_content(path, files) for path in part.licences]
        files[part.digest] = part.library
        minimums = dict(part.minimums)
        doc = Part(part.name, part.version, part.architecture, (part.digest, part.size), tuple(licences), minimums)
        docs.append(doc)
    sizes = dict(sorted({digest: size for doc in docs for digest, size in doc.blobs.items()}.items()))
    pieces = (check.module, check.model, check.expected)
    request = {
        "action": "install",
        "parts": [doc.to_json() for doc in docs],
        **PACED,
        "distrust": distrust,
        "beside": beside,
        "ready": ready,
        **{f"{name}_size": len(piece) for name, piece in zip(("module", "model", "expected"), pieces, strict=True)},
    }
    with connection.call("engines", request, bounded=False) as call:
        for piece in pieces:
            call.data(piece)
        sender = Sender(
            connection,
            call,
            sizes,
            lambda digest: cast("BinaryIO", files[digest].open("rb")),
            progress=progress,
            on_event=on_event,
            damaged="an engine's file",
        )
        connection.round_trips += 1
        for frame in call:
            sender.take(frame)
        reply = call.reply
    return InstalledEngines(
        number(reply, "sent_blobs", 0),
        number(reply, "sent_bytes", 0),
        number(reply, "resumed_bytes", 0),
        members(reply, "metrics"),
    )


def _content(path: Path, files: dict[str, Path]) -> tuple[str, int]:
    data = path.read_bytes()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    files[digest] = path
    return digest, len(data)
