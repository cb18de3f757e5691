"""``lading device group``: several devices under one name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading device group bench kitchen hall"


@verb("device-group")
def group(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The group's name.")],
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE", help="Names or addresses of devices, or other groups.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take them out; where none is named, the whole group.")
    ] = False,
    user: Annotated[bool, typer.Option("--user", help="Into your own devices.toml, also within a project.")] = False,
    as_json: Json = False,
) -> Answer:
    """Put devices into a group of devices.toml, or take them out; deploy and push serve a group at the same time."""
    from lading.devices import enrol, grouping

    here = Path.cwd()
    if remove:
        found = grouping.remove(name, devices or [], project_dir=here)
    else:
        found = grouping.add(name, devices or [], file=enrol.file_for(here, user=user), project_dir=here)

    def render(screen: Screen) -> None:
        said = f"{found.name} is {', '.join(found.members)}" if found.members else f"{found.name} is no group any more"
        screen.say(f"{said} ({found.file})")

    return Answer({"name": found.name, "devices": list(found.members), "file": str(found.file)}, render)
