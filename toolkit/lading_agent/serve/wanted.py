"""From a request ``run`` to a release that nobody removes, and what a runner is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Optional

from lading_agent.errors import AgentError
from lading_agent.serve.judged import chosen
from lading_agent.serve.specs import run_spec
from lading_agent.store.durable import make_dirs
from lading_agent.store.releases import Release, Releases, in_use

if TYPE_CHECKING:
    import contextlib

    from lading_agent.bill import Bill
    from lading_agent.runs.spec import Limits, RunSpec
    from lading_agent.serve.device import Served
    from lading_agent.wire.messages import Fields

ATTEMPTS = 3


def hold(served: Served, releases: Releases, asked: Optional[str], stack: contextlib.ExitStack) -> Release:
    """The release that is asked for, kept from being removed until ``stack`` ends."""
    for _ in range(ATTEMPTS):
        release = releases.require(asked) if asked is not None else releases.require_current()
        try:
            stack.enter_context(in_use(served.layout.release(releases.app, release.id)))
        except FileNotFoundError:
            continue  # it was removed after its name was read: what is current now?
        return release
    raise AgentError("no-such-release", f"the releases of {releases.app} are being removed", "try again")


def spec_of(served: Served, fields: Fields, bill: Bill, release: Release) -> RunSpec:
    """What a runner is told of a request ``run``; the app's state directories are there when this returns."""
    app = bill.app.name
    state = {directory.guest: served.layout.state(app, directory.guest) for directory in bill.state}
    for path in state.values():
        make_dirs(path)
    asked = fields.optional_text("runtime")
    program = chosen(served, release, bill.app.runtime, asked, allow_unknown=fields.flag("allow_unknown"))
    spec = run_spec(
        served,
        bill,
        release.variant,
        served.layout.release(app, release.id),
        state=state,
        args=fields.optional_texts("args"),
        env=fields.mapping("env"),
        threads=fields.optional_integer("threads", high=1024),
        program=program,
    )
    return replace(spec, limits=limits_asked(served, fields, spec.limits))


def limits_asked(served: Served, fields: Fields, limits: Limits) -> Limits:
    """The limits of a run with what its request says about them."""
    time_s = fields.optional_seconds("timeout_s")
    memory = fields.optional_integer("memory_bytes", low=1)
    if time_s is not None:
        limits = replace(limits, time_s=time_s)
    if memory is not None:
        # A request may ask for more than the app does, never for more than the target gives.
        most = served.run_memory_bytes
        limits = replace(limits, memory_bytes=memory if most is None else min(memory, most))
    return limits
