"""``lading push``: bring a release onto devices and make it current."""

from __future__ import annotations

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

EPILOG = "Example:  lading push dist/digits-1.0.0.lading emulated://raspberry-pi-4b"


@verb("push")
def push(
    project: ProjectArgument,
    devices: DevicesArgument,
    force: Annotated[bool, typer.Option("--force", help="Push and switch again, even if nothing changed.")] = False,
    keep: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Keep this many releases of the app on the device."),
    ] = None,
    runtime: RuntimeOption = None,
    variant: VariantOption = None,
    allow_unknown: AllowUnknown = False,
    confirm_within: ConfirmWithin = None,
    engines_from: EnginesFrom = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> Answer:
    """Bring a release onto devices, try it there with golden vectors and smoke runs, and make it current.

    A dead link, a full disk or a power cut at any moment leaves the old release current; the next push goes on from
    there. Blobs that a device has already are not sent again.

    Of a bundle's variants a device gets the one with the least conversion that the check says will work there.

    An app for a runtime of the device's own (--runtime, or runtime in lading.toml) is checked against it first.
    """
    from lading.cli.bring import bring

    if engines_from is not None:
        from lading.bootstrap.cargo import use_engines_from

        use_engines_from(engines_from)
    options = DeployOptions(
        run=False,
        force=force,
        keep=keep,
        dry_run=dry_run,
        runtime=runtime,
        variant=variant,
        allow_unknown=allow_unknown,
        confirm_within_s=parse_time(confirm_within, "--confirm-within") if confirm_within else None,
    )
    return bring(project, devices, options, as_json=as_json)
