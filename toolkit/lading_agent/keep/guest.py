"""One guest that a keeping process runs: what the agent's own ``run`` does, with a log in place of a client."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from lading_agent.runs import supervise
from lading_agent.serve.wanted import hold, spec_of
from lading_agent.store.releases import Releases
from lading_agent.wire.messages import Fields

if TYPE_CHECKING:
    import contextlib

    from lading_agent.keep.logfile import LogWriter
    from lading_agent.runs.result import RunResult
    from lading_agent.runs.spec import RunSpec
    from lading_agent.serve.device import Served
    from lading_agent.store.releases import Release

NO_OUTPUT_LIMIT = 2**53
"""The log is bounded; what a guest writes in months is not."""


class Held:
    """A release, kept from being removed, with what its run needs."""

    def __init__(self, release: Release, spec: RunSpec) -> None:
        self.release = release
        self.spec = spec


def prepare(
    served: Served, app: str, request: Mapping[str, Any], stack: contextlib.ExitStack, *, endless: bool
) -> Held:
    """Get a release ready to run.

    Args:
        served: the device.
        app: the app.
        request: the members of the request ``run``.
        stack: the release cannot be removed until it ends.
        endless: no time limit but the one that the request or the app itself gives.

    Raises:
        AgentError: it cannot be run.
    """
    fields = Fields(request)
    releases = Releases(served.layout, app)
    release = hold(served, releases, fields.optional_text("release"), stack)
    bill = releases.bill(release.id)
    spec = spec_of(served, fields, bill, release)
    limits = replace(spec.limits, output_bytes=NO_OUTPUT_LIMIT)
    if endless and fields.optional_seconds("timeout_s") is None and bill.app.timeout_s is None:
        limits = replace(limits, time_s=None)
    return Held(release, replace(spec, limits=limits))


def run(served: Served, held: Held, log: LogWriter, should_stop: Callable[[], bool]) -> RunResult:
    """Run it to its end; what it writes goes to the log."""
    return supervise.run(
        held.spec,
        on_stdout=lambda data: log.write(1, data),
        on_stderr=lambda data: log.write(2, data),
        on_report=lambda event: _note(log, event),
        should_stop=should_stop,
        command=served.runner,
    )


def _note(log: LogWriter, event: Dict[str, Any]) -> None:
    text: Optional[Any] = event.get("text")
    if event.get("event") == "log" and event.get("level") in ("warning", "error") and isinstance(text, str):
        log.say(text)
