"""``lading releases``: the releases of an app on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen

SHOWN: Final = 10
"""Lines of the history that people are shown; documents have all that the device tells."""

EPILOG = "Example:  lading releases emulated://raspberry-pi-4b digits"


@verb("releases")
def releases(
    device: DeviceArgument,
    app: AppArgument = None,
    pin: Annotated[str | None, typer.Option(metavar="RELEASE", help="Never collect this release.")] = None,
    unpin: Annotated[str | None, typer.Option(metavar="RELEASE", help="Let it be collected again.")] = None,
    as_json: Json = False,
) -> Answer:
    """List the releases of an app, the newest first: which is current, which is pinned, and what happened when."""
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        if pin:
            session.pin(app, pin, pinned=True)
        if unpin:
            session.pin(app, unpin, pinned=False)
        listing: dict[str, Any] = session.releases(app)

    def render(screen: Screen) -> None:
        rows = [
            [
                entry["release"],
                "current" if entry["current"] else "previous" if entry["previous"] else "",
                "pinned" if entry["pinned"] else "",
                entry["variant"],
                entry["installed_at"] or "–",
                format_size(entry["size"]),
            ]
            for entry in listing["releases"]
        ]
        screen.table(["release", "", "", "variant", "installed", "size"], rows, title=listing["app"], right=["size"])
        history = listing["history"]
        if history:
            left_out = f", the last {SHOWN} of {len(history)}" if len(history) > SHOWN else ""
            screen.table(
                ["release", "what happened", "when", "by"],
                [[entry.get(key) or "–" for key in ("release", "action", "at", "by")] for entry in history[-SHOWN:]],
                title=f"history{left_out}",
            )
        if pending := listing.get("pending"):
            from lading.cli.keeping_answer import pending_line

            screen.say(f"{pending['release']} {pending_line(pending)}", style="yellow")
        last = (listing["history"] or [{}])[-1]
        if last.get("action") == "revert":
            screen.say(f"the device went back to {last['release']} by itself: {last.get('why', '')}", style="yellow")

    return Answer({"device": str(found), **listing}, render)
