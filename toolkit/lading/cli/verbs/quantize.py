"""``lading quantize``: an int8 model of a float model."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json, parse_time
from lading.cli.screen import counted
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen
    from lading.variants.models.quantize import Agreement, Report

EPILOG = "Example:  lading quantize digits_f32.tflite --calibrate examples/digits -o digits_int8.tflite"


@verb("quantize")
def quantize(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite file that computes in float32.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The new model.")],
    mode: Annotated[
        str, typer.Option(metavar="MODE", help="int8: all of it. dynamic-range: the weights, float32 outside.")
    ] = "int8",
    calibrate: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Inputs as it will meet them: .npy files, or a project's golden vectors."),
    ] = None,
    timeout: Annotated[str, typer.Option(metavar="S", help="How long it may take.")] = "10m",
    as_json: Json = False,
) -> Answer:
    """Quantize a float model, and tell what that does to size, operators, outputs and golden vectors.

    Needs `pip install 'lading[quantize]'`. `lading retype` gives the result inputs and outputs of another type.
    """
    from lading.golden.toml_edit import replace
    from lading.variants.models import files
    from lading.variants.models.quantize import quantize as quantized
    from lading.variants.models.samples import calibration

    data = files.read(model)
    samples = calibration(calibrate, data) if calibrate is not None else None
    made = quantized(data, mode, samples, timeout_s=parse_time(timeout, "--timeout"))
    replace(output, made.data)
    report = made.report
    document = {
        "model": str(model),
        "path": str(output),
        **asdict(report),
        "outputs": [{**asdict(o), "steps": o.steps} for o in report.outputs],
    }

    def render(screen: Screen) -> None:
        _render(screen, report, output)

    return Answer(document, render)


def _render(screen: Screen, report: Report, output: Path) -> None:
    before, after = report.bytes_before, report.bytes_after
    screen.say(f"{output}  {format_size(after)}, {after / before:.0%} of {format_size(before)}  ({report.mode})")
    screen.say("operators: " + ", ".join(f"{n} {name}" for name, n in report.operators_after.items()))
    if report.left_float:
        screen.say(f"still float: {', '.join(report.left_float)}", style="yellow")
    if not report.samples:
        screen.say("error: not measured, since --calibrate gives no inputs", style="yellow")
    for o in report.outputs:
        steps = f" ({o.steps:.1f} steps)" if o.steps is not None else ""
        screen.say(f"output '{o.name}': largest error {o.largest:.4g}{steps}, mean {o.mean:.4g}")
    if report.samples:
        screen.say(f"measured over {counted(report.samples, 'sample')}")
    if report.golden_before is not None and report.golden_after is not None:
        before_, after_ = report.golden_before, report.golden_after
        screen.say(f"golden vectors: before {_agreement(before_)}; after {_agreement(after_)}")


def _agreement(of: Agreement) -> str:
    return f"{of.same_largest} of {of.vectors} with the same largest element, off by {of.largest:.4g} at most"
