"""``lading import``: make a canonical bundle of what came back from a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading import from-registry.tar -o digits.lading"


@verb("import")
def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="An OCI archive (tar) or an OCI layout folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: NAME-VERSION.lading here.")
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Make a canonical bundle again of an OCI archive or layout that a registry or another tool wrote.

    The result is byte for byte what `lading pack` made.
    """
    from lading.bundle import import_bundle

    imported = import_bundle(source, output)
    document = {
        "path": str(imported.path),
        "digest": imported.digest,
        "size": imported.size,
        "app": imported.bill.app.name,
        "version": imported.bill.app.version,
        "serial": imported.bill.serial,
        "release": imported.bill.release,
    }

    def render(screen: Screen) -> None:
        screen.say(f"{imported.path}  {format_size(imported.size)}  {imported.digest}")

    return Answer(document, render)
