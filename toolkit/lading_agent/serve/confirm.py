"""The request ``confirm``, and what a push does so that it may come."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Dict, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import hook, pending, watcher
from lading_agent.serve.apps import which_app
from lading_agent.store.lock import locked
from lading_agent.store.releases import Releases

if TYPE_CHECKING:
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange


def confirm(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``confirm``: the current release stays."""
    app = which_app(served, exchange.fields.optional_text("app"))
    with locked(served.layout.lock, exchange.owner, f"confirmation of {app}"):
        releases = Releases(served.layout, app)
        current = releases.require_current().id
        found = pending.read(served.layout, app)
        left_s: Optional[float] = None
        if found is not None and found.release == current and not found.verdict(served.surroundings):
            left_s = round(found.left(served.surroundings), 1)
            # In this order: what is in the history twice does no harm, what is lost does.
            releases.remember(current, "confirm", by(exchange))
            pending.settle(served.layout, app)
        else:
            _refuse_unless_confirmed(releases, current)
    return {"app": app, "release": current, "confirmed": left_s is not None, "left_s": left_s}


def _refuse_unless_confirmed(releases: Releases, current: str) -> None:
    history = releases.history()
    last = history[-1] if history else {}
    if last.get("action") == "confirm" and last.get("release") == current:
        return
    if last.get("action") == "revert":
        raise AgentError(
            "not-pending",
            f"the device went back to {releases.app} {current} by itself: {last.get('why', '')}",
            "push the other release again, and confirm it in time",
            {"current": current},
        )
    raise AgentError(
        "not-pending",
        f"no release of {releases.app} waits to be confirmed; {current} is current",
        "push with --confirm-within",
        {"current": current},
    )


def refuse_without_previous(served: Served, app: str) -> None:
    """Refuse a push that could not be gone back from.

    Raises:
        AgentError: ``not-pending``: the app is not on the device yet.
    """
    if Releases(served.layout, app).current() is None:
        raise AgentError(
            "not-pending",
            f"{app} is not on the device: there is no release to go back to",
            "push the first release without --confirm-within",
        )


def arm(served: Served, exchange: Exchange, app: str, release: str, within_s: Optional[float]) -> None:
    """What is written down and started before the switch, so that no moment is without somebody to go back.

    The watcher waits for the device's lock, which the push holds until it is through.
    """
    steps = served.steps
    steps.reach("pending")
    found = None
    if within_s is not None:
        found = pending.arm(served.layout, app, release, within_s, by(exchange), served.surroundings)
    steps.reach("pending-boot")
    if found is not None:
        how, why = hook.install(served)
        if why and how:
            exchange.event("log", level="warning", text=f"after a restart the device goes back in time only if: {why}")
        elif why:
            text = f"should the device restart, it goes back at the next contact only: nothing starts there ({why})"
            exchange.event("log", level="info" if served.emulated else "warning", text=text)
    steps.reach("pending-watch")
    if found is not None:
        watcher.ensure(served)


def settle(served: Served, app: str, release: str, within_s: Optional[float]) -> None:
    """What is over once another release is current: a pending one that it replaced."""
    served.steps.reach("settle")
    found = pending.read(served.layout, app)
    if found is None or found.release != release or within_s is None:
        pending.settle(served.layout, app)


def disarm(served: Served, app: str) -> None:
    """The switch did not come: what was pending before counts again."""
    with contextlib.suppress(OSError):
        found = pending.read(served.layout, app)
        if found is None:
            pending.settle(served.layout, app)
        else:
            pending.write(served.layout, app, found)


def told(served: Served, app: str) -> Optional[Dict[str, Any]]:
    """What clients are told of a pending release; None when nothing is pending."""
    found = pending.read(served.layout, app)
    return None if found is None else found.told(served.surroundings)


def by(exchange: Exchange) -> str:
    """Who asked."""
    return f"{exchange.owner.get('user')}@{exchange.owner.get('host')}"
