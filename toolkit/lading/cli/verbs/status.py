"""``lading status``: what a device is and holds."""

from __future__ import annotations

from typing import Any

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json
from lading.cli.screen import Screen
from lading.units import format_size

EPILOG = "Example:  lading status emulated://raspberry-pi-4b"


@verb("status")
def status(device: DeviceArgument, app: AppArgument = None, as_json: Json = False) -> Answer:
    """Show what a device is, which apps it holds and which release of each is current."""
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        hello, state = session.hello, session.status(app)
    document: dict[str, Any] = {"device": str(found), "agent": hello.to_json(), **state}

    def render(screen: Screen) -> None:
        target = hello.target.get("name") or hello.target.get("id", "unknown target")
        screen.say(f"{found}: {target}, firmware profile {hello.profile.get('id', 'unknown')}", style="bold")
        disk = state["disk"]
        screen.say(
            f"agent {hello.agent_version}, store {format_size(disk['used_bytes'])} used, {format_size(disk['free_bytes'])} free"
        )
        rows = [
            [
                name,
                entry["current"] or "–",
                entry["previous"] or "–",
                str(len(entry["releases"])),
                format_size(entry["state_bytes"]),
            ]
            for name, entry in state["apps"].items()
        ]
        if rows:
            screen.table(["app", "current", "previous", "releases", "state"], rows, right=["releases", "state"])
        else:
            screen.say("no apps: `lading deploy PROJECT DEVICE` brings one")

    return Answer(document, render)
