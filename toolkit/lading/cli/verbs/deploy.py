"""``lading deploy``: pack, check, push and run, on one device or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import (
    AllowUnknown,
    ConfirmWithin,
    DevicesArgument,
    DryRun,
    EnginesFrom,
    Json,
    ProjectArgument,
    RuntimeOption,
    VariantOption,
    parse_time,
)
from lading.deploy import DeployOptions

EPILOG = "Example:  lading deploy examples/digits emulated://raspberry-pi-4b"


@verb("deploy")
def deploy(
    project: ProjectArgument,
    devices: DevicesArgument,
    no_run: Annotated[bool, typer.Option("--no-run", help="Stop when the release is current.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Push and switch again, even if nothing changed.")] = False,
    keep: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Keep this many releases of the app on the device."),
    ] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="Show each tensor that compute_single yields.")] = False,
    allow_unknown: AllowUnknown = False,
    runtime: RuntimeOption = None,
    variant: VariantOption = None,
    confirm_within: ConfirmWithin = None,
    engines_from: EnginesFrom = None,
    dry_run: DryRun = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML as well.")] = None,
    as_json: Json = False,
) -> Answer:
    """Pack, check, push and run: the whole way from a project to answers on a device.

    Each device gets the variant with the least conversion that the check says will work on its firmware; where none
    does, nothing is sent (see `lading check`, `lading matrix`).
    The old release stays current unless the new one is complete and its golden vectors and smoke runs are right.
    Several devices are served at the same time, each with a result of its own.
    """
    from lading.cli.bring import bring

    if engines_from is not None:
        from lading.bootstrap.cargo import use_engines_from

        use_engines_from(engines_from)
    options = DeployOptions(
        run=not no_run,
        force=force,
        keep=keep,
        dry_run=dry_run,
        check=True,
        allow_unknown=allow_unknown,
        runtime=runtime,
        variant=variant,
        native=project.is_dir(),
        confirm_within_s=parse_time(confirm_within, "--confirm-within") if confirm_within else None,
    )
    return bring(project, devices, options, tensors=tensors, junit=junit, as_json=as_json)
