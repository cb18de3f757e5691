"""The client's side of a probe: guests out, what came of each back, in one round trip."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lading.client.said import decoded
from lading.errors import AgentFailed
from lading_agent.wire.frames import MESSAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.client.connection import Connection


@dataclass(frozen=True)
class ProbedGuest:
    """What came of one guest."""

    outcome: str
    status: int
    kind: str
    message: str
    remedy: str
    runtime: str
    output: bytes


def probe(
    connection: Connection,
    guests: Sequence[bytes],
    models: Mapping[str, bytes],
    *,
    at_once: int,
    timeout_s: float | None,
    runtime: str | None,
    on_guest: Callable[[], None] | None,
) -> list[ProbedGuest]:
    """Run guests on the device; see ``Session.probe``."""
    request: dict[str, Any] = {
        "guests": [{"name": str(number), "size": len(guest)} for number, guest in enumerate(guests)],
        "models": [{"name": name, "size": len(data)} for name, data in models.items()],
        "at_once": at_once,
        "timeout_s": timeout_s,
        "runtime": runtime,
    }
    found: dict[int, ProbedGuest] = {}
    with connection.call("probe", request) as call:
        for data in (*guests, *models.values()):
            if data:
                call.data(data)
        connection.round_trips += 1
        for frame in call:
            if frame.kind != MESSAGE:
                continue
            message = decoded(frame.payload)
            if message.get("event") == "guest":
                found[_number(message, "index")] = _guest(message)
                if on_guest is not None:
                    on_guest()
    if sorted(found) != list(range(len(guests))):
        raise AgentFailed(f"the agent ran {len(found)} of {len(guests)} probe guests", remedy="update the agent")
    return [found[number] for number in range(len(guests))]


def _number(message: Mapping[str, Any], key: str) -> int:
    value = message.get(key)
    return value if isinstance(value, int) else -1


def _guest(message: Mapping[str, Any]) -> ProbedGuest:
    try:
        output = base64.b64decode(str(message.get("output", "")), validate=True)
    except binascii.Error:
        output = b""
    said = {key: str(message.get(key, "")) for key in ("outcome", "kind", "message", "remedy", "runtime")}
    return ProbedGuest(status=_number(message, "status"), output=output, **said)
