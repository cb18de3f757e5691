"""``lading init``: make a project of a module and models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading init keyword-spotter guest.wasm --model spotter=micro_speech.tflite"


@verb("init")
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The project's folder; made when it is not there.")],
    module: Annotated[Path, typer.Argument(metavar="MODULE.wasm", help="The guest.")],
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="[NAME=]FILE", help="A model; NAME is what the guest loads it by (default: the file's)."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="APP", help="The app's name; default: the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a lading.toml that is there.")] = False,
    as_json: Json = False,
) -> Answer:
    """Make a project of a module and models: a lading.toml that packs as it stands, with hints in it.

    The models are read: int8 tensors, state and inputs show up in lading.toml, golden vectors as suggestions.
    """
    from lading.project import init_project
    from lading.project.init import ModelSource

    sources = []
    for text in model or ():
        head, equals, path = text.partition("=")
        sources.append(ModelSource(Path(path), head) if equals else ModelSource(Path(text)))
    made = init_project(folder, module, sources, name=name, force=force)
    document = {
        "project": str(folder),
        "file": str(made.project.file),
        "app": made.project.app.name,
        "version": made.project.app.version,
        "copied": [str(path) for path in made.copied],
        "notes": list(made.notes),
    }

    def render(screen: Screen) -> None:
        screen.say(f"{made.project.file}: app {made.project.app.name} {made.project.app.version}", style="bold")
        for path in made.copied:
            screen.say(f"  copied {path}")
        for note in made.notes:
            screen.say(f"  - {note}")
        screen.say(f"next:  lading deploy {folder} emulated://raspberry-pi-4b")

    return Answer(document, render)
