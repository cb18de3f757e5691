"""``lading retype``: other types at a model's inputs and outputs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen
    from lading.variants.models.retype import Possible

EPILOG = "Example:  lading retype digits_int8.tflite --inputs float32 --outputs float32 -o digits_f32_io.tflite"


@verb("retype")
def retype(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite file.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The new model. None: say what is possible.")
    ] = None,
    inputs: Annotated[
        str | None, typer.Option(metavar="TYPE", help="float32, int8 or uint8; left out, they stay.")
    ] = None,
    outputs: Annotated[str | None, typer.Option(metavar="TYPE", help="The same for the outputs.")] = None,
    as_json: Json = False,
) -> Answer:
    """Give a TFLite model inputs and outputs of another type, by an edit of its file.

    What the model computes between stays bit for bit; names, signatures, metadata and weights are kept.
    """
    from lading.errors import UsageError
    from lading.golden.toml_edit import replace
    from lading.variants.models import files
    from lading.variants.models.quantized import DTYPES
    from lading.variants.models.retype import possible
    from lading.variants.models.retype import retype as retyped

    for option, dtype in (("--inputs", inputs), ("--outputs", outputs)):
        if dtype not in {None, *DTYPES}:
            raise UsageError(f"{option}: '{dtype}' is not a type for them", remedy=f"use one of {', '.join(DTYPES)}")
    data = files.read(model)
    asked = inputs is not None or outputs is not None
    if asked != (output is not None):
        raise UsageError(
            "--inputs or --outputs, and --output, belong together",
            remedy="leave all of them out to see what is possible",
        )
    if output is None:
        return _possible(model, possible(data))
    made = retyped(data, inputs=inputs, outputs=outputs)
    replace(output, made.data)
    document = {
        "model": str(model),
        "path": str(output),
        "size_before": len(data),
        "size": len(made.data),
        "changes": [asdict(change) for change in made.changes],
    }

    def render(screen: Screen) -> None:
        for c in made.changes:
            steps = f"scale {c.scale:.6g}, zero point {c.zero_point}"
            screen.say(f"{c.direction} '{c.tensor}': {c.before} → {c.after}  ({steps})")
        if not made.changes:
            screen.say("nothing to change: its inputs and outputs are of these types already")
        screen.say(f"{output}  {format_size(len(made.data))} ({len(made.data) - len(data):+d} bytes)")

    return Answer(document, render)


def _possible(model: Path, can: Possible) -> Answer:
    directions = [*can.inputs.values(), *can.outputs.values()]
    document = {
        "model": str(model),
        "possible": [
            {
                "side": d.side,
                "dtype": d.dtype,
                "possible": d.possible,
                "reason": d.reason,
                "remedy": d.remedy,
                "changes": [asdict(change) for change in d.changes],
            }
            for d in directions
        ],
    }

    def render(screen: Screen) -> None:
        for d in directions:
            words = "as they are" if d.possible and not d.changes else "possible" if d.possible else f"no: {d.reason}"
            screen.say(f"{d.side:7} {d.dtype:8} {words}")

    return Answer(document, render)
