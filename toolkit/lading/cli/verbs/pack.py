"""``lading pack``: make a bundle of a project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.units import format_size

EPILOG = "Example:  lading pack examples/digits -o digits.lading"


@verb("pack")
def pack(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="A folder with lading.toml.")] = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: dist/NAME-VERSION.lading.")
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Make a bundle of a project: guest, models, files and the bill that binds them by digest.

    The same project gives the same bytes. The bundle is an OCI image layout in a tar.
    """
    from lading.bundle import pack as pack_project
    from lading.cli.progress import Bars
    from lading.project import load_project

    with Bars(Screen(as_json=as_json)) as bars:
        packed = pack_project(load_project(project), output, progress=bars.update)
    document = {
        "path": str(packed.path),
        "digest": packed.digest,
        "size": packed.size,
        "app": packed.bill.app.name,
        "version": packed.bill.app.version,
        "serial": packed.bill.serial,
        "release": packed.bill.release,
        "blobs": packed.blob_count,
        "warnings": list(packed.warnings),
    }

    def render(screen: Screen) -> None:
        for warning in packed.warnings:
            screen.note(f"warning: {warning}", style="yellow")
        screen.say(f"{packed.path}  {format_size(packed.size)}  {packed.digest}")

    return Answer(document, render)
