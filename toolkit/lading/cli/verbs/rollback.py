"""``lading rollback``: go back to an earlier release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading rollback emulated://raspberry-pi-4b digits"


@verb("rollback")
def rollback(
    device: DeviceArgument,
    app: AppArgument = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="RELEASE", help="A release or its unique beginning; default: previous."),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Make the release before the current one current again, or another one that the device still holds."""
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.rollback(app, to=to)

    def render(screen: Screen) -> None:
        screen.say(f"{result['app']}: {result['current']} is current (before: {result['previous'] or 'none'})")

    return Answer({"device": str(found), **result}, render)
