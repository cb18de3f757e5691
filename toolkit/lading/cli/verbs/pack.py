"""``lading pack``: make a bundle of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.errors import UsageError
from lading.units import format_size
from lading.variants.told import promised, summary

if TYPE_CHECKING:
    from lading.cli.flash_answer import Flashed

MOST_TOLD = 2
"""Firmwares without a variant that are told about one by one."""

EPILOG = "Example:  lading pack examples/digits -o digits.lading"


@verb("pack")
def pack(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="A folder with lading.toml.")] = Path(),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: dist/NAME-VERSION.lading.")
    ] = None,
    wanted_for: Annotated[
        list[str] | None,
        typer.Option(
            "--for",
            metavar="PROFILE|TARGET|DEVICE|all",
            help="Make variants for these (repeatable). Default: [pack] for, else all Linux hosts of TFLite.",
        ),
    ] = None,
    no_variants: Annotated[
        bool, typer.Option("--no-variants", help="Only the guest and the models as they are; nothing is run.")
    ] = False,
    optimize: Annotated[
        bool, typer.Option("--optimize", help="Take out of rewritten guests what no engine needs.")
    ] = False,
    ahead_of_time: Annotated[
        bool,
        typer.Option(
            "--ahead-of-time", help="Also compiled ahead for the targets of --for, with the compiler of their runtime."
        ),
    ] = False,
    flash_image: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also the flash image for the microcontroller that --for names."),
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="The flash image also where a run needs more memory than there is.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Make a bundle of a project: guest, models, files and the bill that binds them by digest.

    The guest is run once, here, to see what it asks for. For each firmware that would refuse it as it is, a variant is
    made that it takes, without source: models get other types at their inputs and outputs, the guest other numbers and
    layouts. Each device is later sent the one that fits it.

    The same project gives the same bytes. The bundle is an OCI image layout in a tar.
    """
    from lading.bundle import pack as pack_project
    from lading.cli.progress import Bars
    from lading.project import load_project
    from lading.variants.packing import Packer, Wanted

    screen = Screen(as_json=as_json)
    names = tuple(word for text in wanted_for for word in text.split(",") if word) if wanted_for else None
    if no_variants and (names or optimize or ahead_of_time):
        raise UsageError(
            "--no-variants goes with neither --for nor --optimize nor --ahead-of-time", remedy="leave one of them out"
        )
    if flash_image is not None and (names is None or len(names) != 1):
        raise UsageError(
            "--flash-image wants the one microcontroller that it is for", remedy="name it: --for esp32-s3, for example"
        )
    wanted = Wanted(names, none=no_variants, optimize=optimize, ahead_of_time=ahead_of_time)
    packer = Packer(wanted, skipped=screen.skipped)
    with Bars(screen) as bars:
        packed = pack_project(load_project(project), output, variants=packer, progress=bars.update)
    report = packer.report
    flashed = _flashed(packed.path, names[0], flash_image, project, anyway=anyway) if flash_image and names else None
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
        "variants": [
            {
                "id": variant.id,
                "profiles": promised(variant),
                "conversion": summary(variant.conversion),
                "module_bytes": variant.module.size,
                "model_bytes": sum(model.size for model in variant.models),
            }
            for variant in packed.bill.variants
        ],
        "unserved": list(report.unserved),
        "note": report.note,
        "ahead_of_time": list(report.ahead),
        "flash_image": flashed.document() if flashed else None,
    }

    def render(screen: Screen) -> None:
        for warning in packed.warnings:
            screen.note(f"warning: {warning}", style="yellow")
        if report.note:
            screen.note(report.note, style="yellow")
        for text in report.ahead:
            screen.note(text, style="yellow")
        for missing in report.unserved[:MOST_TOLD]:
            said = missing["attempt"] or missing["reason"]
            screen.note(f"no variant for {missing['profile']}: {said}", style="yellow")
        if len(report.unserved) > MOST_TOLD:
            others = ", ".join(missing["profile"] for missing in report.unserved[MOST_TOLD:])
            screen.note(f"nor for {others}: `lading matrix {project}` tells why", style="yellow")
        if len(packed.bill.variants) > 1:
            rows = [
                [
                    variant.id,
                    summary(variant.conversion),
                    format_size(variant.module.size + sum(model.size for model in variant.models)),
                    ", ".join(promised(variant)) or "–",
                ]
                for variant in packed.bill.variants
            ]
            screen.stacked(["variant", "made of", "size", "for"], rows)
        screen.say(f"{packed.path}  {format_size(packed.size)}  {packed.digest}")
        if flashed is not None:
            flashed.render(screen)

    return Answer(document, render)


def _flashed(bundle: Path, target: str, output: Path, project: Path, *, anyway: bool) -> Flashed:
    from lading.bundle import open_bundle
    from lading.cli.flash_answer import write_image

    with open_bundle(bundle) as opened:
        return write_image(opened, target, output, project=project, anyway=anyway)
