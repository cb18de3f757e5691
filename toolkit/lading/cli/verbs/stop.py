"""``lading stop``: end what runs without a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading stop emulated://raspberry-pi-4b digits"


@verb("stop")
def stop(
    device: DeviceArgument,
    app: AppArgument = None,
    run: Annotated[str | None, typer.Option(metavar="ID", help="Only this run's number, or `service`.")] = None,
    as_json: Json = False,
) -> Answer:
    """End an app's detached runs and its service. Where nothing runs that is said, and is no error.

    A service that is stopped starts again with the device; `lading service disable` ends it for good.
    """
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.stop(app, run=run)

    def render(screen: Screen) -> None:
        for ended in result["stopped"]:
            which = f"run {ended['run']}" if ended["run"] else "the run"  # without an agent runs have no numbers
            screen.say(f"stopped {which} of {result['app']} ({ended['release']})")
        if result["service"]:
            screen.say(f"stopped the service of {result['app']}; it starts again with the device")
        if not result["stopped"] and not result["service"]:
            screen.say(f"nothing of {result['app']} was running")

    return Answer({"device": str(found), **result}, render)
