"""A guest of the client's that is run in an app's place: what a release's models do on this device, byte for byte."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lading_agent.errors import AgentError
from lading_agent.serve.runtimes import refuse_without_own
from lading_agent.serve.specs import guest_spec
from lading_agent.serve.wanted import limits_asked

if TYPE_CHECKING:
    import contextlib

    from lading_agent.bill import Bill
    from lading_agent.runs.spec import RunSpec
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange
    from lading_agent.store.releases import Release

MOST_BYTES = 1024 * 1024


def spec_of(served: Served, exchange: Exchange, bill: Bill, release: Release, stack: contextlib.ExitStack) -> RunSpec:
    """Take the guest of a request ``run``; it lies in a scratch folder until ``stack`` ends.

    Raises:
        AgentError: it is too large, it was to go on without the client, or no host of lading's runs guests here.
    """
    fields = exchange.fields
    size = fields.integer("guest", low=1, high=MOST_BYTES)
    if fields.flag("detach"):
        raise AgentError("usage", "a guest of the client's does not go on without it", "leave out detach")
    refuse_without_own(served, bill.app.name)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lading-guest-"))
    module = Path(folder) / "guest.wasm"
    module.write_bytes(exchange.receive_bytes(size))
    spec = guest_spec(served, bill, release.variant, module)
    threads = fields.optional_integer("threads", high=1024)
    limits = limits_asked(served, fields, spec.limits)
    return replace(spec, limits=limits, threads=spec.threads if threads is None else threads)
