"""The client's side of what goes on without a connection: detached runs, their logs, services, confirmation."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from lading.client.events import Event, Log, Lost, Output
from lading.client.said import decoded, number
from lading.errors import LadingError, VersionMismatch
from lading_agent.wire.frames import DATA, MESSAGE, STDERR, STDOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading.client.call import Call
    from lading.client.connection import Connection


def require(connection: Connection, feature: str) -> None:
    """See that the device's agent knows something.

    Raises:
        VersionMismatch: it does not.
    """
    if feature not in connection.hello.features:
        raise VersionMismatch(
            f"the agent {connection.hello.agent_version} on the device cannot do this ({feature})",
            remedy="update the agent on the device",
        )


def detach(connection: Connection, request: Mapping[str, Any]) -> dict[str, Any]:
    """Start a run that goes on without us; see ``Session.run_detached``."""
    require(connection, "detach")
    return connection.ask("run", **request, detach=True, stdin=False)


def logs(
    connection: Connection,
    app: str | None,
    *,
    run: str | None,
    lines: int | None,
    follow: bool,
    on_event: Callable[[Event], None],
    on_begin: Callable[[Mapping[str, Any]], None] | None,
) -> dict[str, Any]:
    """Read a log; see ``Session.logs``."""
    require(connection, "detach")
    request = {"app": app, "run": run, "lines": lines, "follow": follow}
    with connection.call("logs", request) as call:
        connection.round_trips += 1
        try:
            _drain(call, on_event, on_begin)
        except KeyboardInterrupt:
            with contextlib.suppress(LadingError):
                call.cancel()
                _drain(call, on_event, None)
            raise
        return call.reply


def _drain(call: Call, on_event: Callable[[Event], None], on_begin: Callable[[Mapping[str, Any]], None] | None) -> None:
    for frame in call:
        if frame.kind == DATA and frame.channel in (STDOUT, STDERR):
            on_event(Output(frame.channel, frame.payload))
        elif frame.kind == MESSAGE:
            message = decoded(frame.payload)
            name = message.pop("event", "")
            if name == "log":
                on_event(Log(str(message.get("level", "info")), str(message.get("text", ""))))
            elif name == "lost":
                on_event(Lost(number(message, "bytes", 0)))
            elif name == "log-of" and on_begin is not None:
                on_begin(message)
