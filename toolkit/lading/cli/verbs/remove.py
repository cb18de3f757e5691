"""``lading remove``: take a release or a whole app off a device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, DryRun, Json
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading remove emulated://raspberry-pi-4b digits --release 1.0.0-5f2c"


@verb("remove")
def remove(
    device: DeviceArgument,
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    release: Annotated[
        str | None, typer.Option(metavar="RELEASE", help="Only this release, which must not be the current one.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Answer:
    """Take an app with its releases and its state directories off a device, or one release of it."""
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.remove(app, release=release, dry_run=dry_run)

    def render(screen: Screen) -> None:
        word = "would remove" if dry_run else "removed"
        what = ", ".join(result["removed"]) or "nothing"
        screen.say(f"{word} {app}: {what} ({format_size(result['freed_bytes'])})")

    return Answer({"device": str(found), **result}, render)
