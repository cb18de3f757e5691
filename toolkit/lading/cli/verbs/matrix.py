"""``lading matrix``: what runs where."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen

EPILOG = "Example:  lading matrix examples/digits examples/stream --html matrix.html"


@verb("matrix")
def matrix(
    projects: Annotated[
        list[Path], typer.Argument(metavar="PROJECT", help="Folders with lading.toml, and .lading bundles.")
    ],
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="TARGET|PROFILE|DEVICE|all",
            help="Where they are to run; may be given repeatedly. Default: all.",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page as well: one file that needs no network.")
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Show what runs where: apps against boards and firmwares, with the variant that each would get.

    ok: as it is. variant: converted, by what pack makes. unknown: nobody knows. fails: not at all.
    Exit status 1: one of the apps runs nowhere.
    """
    from lading.check.places import ALL, places
    from lading.cli.guest_options import place_for
    from lading.cli.matrix_answer import show_matrix
    from lading.cli.progress import Bars
    from lading.variants.matrix import make_matrix

    screen = Screen(as_json=as_json)
    place_for(html, "--html")
    here = projects[0] if projects[0].is_dir() else Path.cwd()
    names = [word for text in on or () for word in text.split(",") if word]
    wanted = places(names or [ALL], here, skipped=screen.skipped)
    with Bars(screen) as bars:
        found = make_matrix(projects, wanted, names=names or None, project_dir=here, progress=bars.update)
    if html is not None:
        from lading.variants.page import page

        html.write_text(page(found), encoding="utf-8")
    document = {**found.to_json(), "html": str(html) if html else None}
    return Answer(document, lambda shown: show_matrix(shown, found, html), status=1 if found.stranded else 0)
