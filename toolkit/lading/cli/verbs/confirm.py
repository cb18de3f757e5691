"""``lading confirm``: a release that was pushed on probation stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading confirm emulated://raspberry-pi-4b digits"


@verb("confirm")
def confirm(device: DeviceArgument, app: AppArgument = None, as_json: Json = False) -> Answer:
    """Keep the release that was pushed with --confirm-within; without this the device goes back by itself.

    Exit status 1 if it went back already, or if nothing ever waited to be confirmed.
    """
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.confirm(app)

    def render(screen: Screen) -> None:
        when = f"{result['left_s']:g} s before it was too late" if result["confirmed"] else "already"
        screen.say(f"{result['app']} {result['release']} is confirmed, {when}")

    return Answer({"device": str(found), **result}, render)
