"""``lading status``: what a device is and holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.cli.answer import Answer, verb
from lading.cli.options import AppArgument, DeviceArgument, Json
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen

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
        room = state["disk"]
        used = format_size(room["used_bytes"])
        free = "unknown" if room["free_bytes"] is None else format_size(room["free_bytes"])
        screen.say(f"agent {hello.agent_version}, store {used} used, {free} free")
        rows = [
            [
                name,
                entry["current"] or "–",
                entry.get("variant") or "–",
                entry["previous"] or "–",
                str(len(entry["releases"])),
                format_size(entry["state_bytes"]),
            ]
            for name, entry in state["apps"].items()
        ]
        if rows:
            screen.table(
                ["app", "current", "variant", "previous", "releases", "state"], rows, right=["releases", "state"]
            )
            for name, entry in state["apps"].items():
                _say_kept(screen, name, entry)
        else:
            screen.say("no apps: `lading deploy PROJECT DEVICE` brings one")

    return Answer(document, render)


def _say_kept(screen: Screen, name: str, entry: dict[str, Any]) -> None:
    """What of an app goes on without a connection."""
    from lading.cli.keeping_answer import pending_line, service_line

    if pending := entry.get("pending"):
        screen.say(f"{name}: {pending['release']} {pending_line(pending)}", style="yellow")
    if (service := entry.get("service")) and service["enabled"]:
        screen.say(f"{name}: service {service_line(service)}")
    for run in entry.get("runs", ()):
        screen.say(f"{name}: run {run['run']} of {run['release']} since {run['since']} (process {run['pid']})")
