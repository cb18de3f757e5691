"""``lading golden record``: make golden vectors of inputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json, parse_pair, parse_time
from lading.cli.screen import counted

if TYPE_CHECKING:
    from lading.cli.screen import Screen

EPILOG = "Example:  lading golden record examples/digits --input image=some-image.npy"


@verb("golden-record")
def record(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="A folder with lading.toml.")] = Path(),
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model; may be left out when there is one.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", metavar="TENSOR=FILE.npy", help="One a model input. None: record all vectors anew."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are in the way.")] = False,
    timeout: Annotated[str, typer.Option(metavar="S", help="How long one run of the model may take.")] = "60s",
    as_json: Json = False,
) -> Answer:
    """Run a model here on given inputs and keep inputs and outputs as a golden vector of the project.

    A device has to give the same outputs, within the tolerance, before a release becomes current there.
    """
    from lading.golden import record as record_vectors
    from lading.project import PROJECT_FILE, load_project

    files = {
        tensor: Path(path) for tensor, path in (parse_pair(text, "--input", "TENSOR=FILE.npy") for text in inputs or ())
    }
    recorded = record_vectors(
        load_project(project), model, files, force=force, timeout_s=parse_time(timeout, "--timeout")
    )
    document = {
        "project": str(project),
        "vectors": [
            {
                "model": vector.model,
                "inputs": {name: str(path) for name, path in vector.inputs.items()},
                "outputs": {name: str(path) for name, path in vector.outputs.items()},
                "added": vector.added,
                "engine": vector.engine,
                "warnings": list(vector.warnings),
            }
            for vector in recorded
        ],
    }

    def render(screen: Screen) -> None:
        for vector in recorded:
            for warning in vector.warnings:
                screen.note(f"warning: {warning}", style="yellow")
            screen.say(f"{vector.model}: {', '.join(vector.inputs)} → {', '.join(vector.outputs)}", style="bold")
            for path in (*vector.inputs.values(), *vector.outputs.values()):
                screen.say(f"  {path}")
        for count, done in (
            (sum(vector.added for vector in recorded), "added"),
            (sum(not vector.added for vector in recorded), "recorded again"),
        ):
            if count:
                screen.say(f"{project / PROJECT_FILE}: {counted(count, 'golden vector')} {done}")

    return Answer(document, render)
