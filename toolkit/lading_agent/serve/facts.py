"""Answering the request ``facts``: what this device is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from lading_agent.errors import AgentError
from lading_agent.facts.gather import facts_of, gather

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange


def facts(served: Served, exchange: Exchange) -> Dict[str, Any]:  # noqa: ARG001
    """Answer the request ``facts``: the facts, and the sources that they were read from.

    An emulated device has none of its own: what its target file declares stands in their place.
    """
    if served.emulated:
        return {"emulated": True, "facts": {}, "sources": {}}
    try:
        sources = gather(served.layout.home)
    except OSError as error:
        raise AgentError(
            "agent-failed", f"the device's shell does not start: {error}", "is there a /bin/sh?"
        ) from error
    return {"emulated": False, "facts": facts_of(sources), "sources": sources}
