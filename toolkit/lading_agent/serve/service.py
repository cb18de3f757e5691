"""The request ``service``: whether the current release starts with the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from lading_agent.errors import AgentError
from lading_agent.keep import services
from lading_agent.serve.apps import which_app
from lading_agent.store.lock import locked

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange

ACTIONS = ("enable", "disable", "status")


def service(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``service`` with its ``action``."""
    fields = exchange.fields
    action = fields.text("action", limit=16)
    if action not in ACTIONS:
        raise AgentError("usage", f"{action!r} is no action of a service", f"one of: {', '.join(ACTIONS)}")
    app = which_app(served, fields.optional_text("app"))
    changed = True
    notes = []
    if action == "enable":
        with locked(served.layout.lock, exchange.owner, f"enabling the service of {app}"):
            notes = services.enable(served, app)
    elif action == "disable":
        with locked(served.layout.lock, exchange.owner, f"disabling the service of {app}"):
            changed = services.disable(served, app)
    return {**services.told(served, app), "changed": changed and action != "status", "notes": notes}
