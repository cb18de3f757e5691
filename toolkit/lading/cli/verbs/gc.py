"""``lading gc``: collect releases and blobs that nothing needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, DryRun, Json
from lading.cli.screen import counted
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading gc emulated://raspberry-pi-4b --keep 2"


@verb("gc")
def gc(
    device: DeviceArgument,
    keep: Annotated[int, typer.Option(metavar="N", min=1, help="Releases of each app that stay.")] = 2,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Answer:
    """Collect old releases and the blobs that no release needs; current, previous and pinned ones always stay."""
    from lading.client import connect
    from lading.devices import resolve

    found = resolve(device)
    with connect(found) as session:
        result = session.gc(keep=keep, dry_run=dry_run)

    def render(screen: Screen) -> None:
        word = "would free" if dry_run else "freed"
        screen.say(
            f"{word} {format_size(result['freed_bytes'])}: "
            f"{counted(len(result['removed']), 'release')}, {counted(result['blobs'], 'blob')}"
        )
        for name in result["removed"]:
            screen.say(f"  {name}")

    return Answer({"device": str(found), **result}, render)
