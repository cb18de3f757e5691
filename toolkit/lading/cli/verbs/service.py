"""``lading service``: the current release starts with the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

ENABLE_EPILOG = "Example:  lading service enable emulated://raspberry-pi-4b digits"
DISABLE_EPILOG = "Example:  lading service disable emulated://raspberry-pi-4b digits"
STATUS_EPILOG = "Example:  lading service status emulated://raspberry-pi-4b digits"


@verb("service-enable")
def enable(device: DeviceArgument, app: AppArgument = None, as_json: Json = False) -> Answer:
    """Start an app's current release now and whenever the device starts, without a login.

    It is started again when it fails, after 1 s, 2 s, … 60 s, and follows a deploy. No root is needed: a systemd user
    unit, or a line in the crontab where there is no systemd.
    """
    return _ask("enable", device, app)


@verb("service-disable")
def disable(device: DeviceArgument, app: AppArgument = None, as_json: Json = False) -> Answer:
    """End an app's service, and take away everything that enabling it made."""
    return _ask("disable", device, app)


@verb("service-status")
def status(device: DeviceArgument, app: AppArgument = None, as_json: Json = False) -> Answer:
    """Show whether an app's service is enabled and how, since when it runs, and how it last ended."""
    return _ask("status", device, app)


def _ask(action: str, device: str, app: str | None) -> Answer:
    from lading.cli.keeping_answer import say_service
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.service(action, app)

    def render(screen: Screen) -> None:
        if action == "disable":
            what = "is disabled, nothing of it is left" if result["changed"] else "was not enabled"
            screen.say(f"the service of {result['app']} {what}")
        else:
            say_service(screen, result)
        for note in result["notes"]:
            screen.note(note, style="yellow")

    return Answer({"device": str(found), **result}, render)
