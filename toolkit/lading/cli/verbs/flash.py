"""``lading flash-image``: what a push leaves in a microcontroller's flash, as a file."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json, ProjectArgument
from lading.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.bundle import Bundle
    from lading.cli.screen import Screen

EPILOG = "Example:  lading flash-image my-app rp2350 -o storage.bin"


@verb("flash-image")
def flash_image(
    project: ProjectArgument,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A microcontroller of `lading targets`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The image of the partition for releases.")
    ] = None,
    c_array: Annotated[
        Path | None,
        typer.Option(metavar="FILE.h", help="A C header with guest and models, for firmware that links them."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="ID", help="The firmware profile. Default: the target's usual one.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="ID", help="The bundle's variant. Default: the one made for the profile, if any."),
    ] = None,
    port: Annotated[str | None, typer.Option(metavar="PORT", help="The serial port in the command lines.")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also where a run needs more memory than the board has.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Write the file system that a push to an empty microcontroller would leave, and how to flash it.

    A board that is flashed so takes later pushes as any other. Guest, models and arena are checked against the board's
    flash and memory first. Needs `pip install 'lading[flash]'`.
    """
    from lading.cli.flash_answer import write_image
    from lading.errors import UsageError

    if output is None and c_array is None:
        raise UsageError("there is nothing to write", remedy="give --output, --c-array, or both")
    own = project if project.is_dir() else None
    with opened(project) as bundle:
        linked = _linked(bundle, target, profile, variant, c_array, own, anyway=anyway) if c_array is not None else None
        flashed = (
            write_image(
                bundle, target, output, profile_name=profile, variant=variant, port=port, project=own, anyway=anyway
            )
            if output is not None
            else None
        )
    document = (flashed.document() if flashed else {"path": None}) | {"c_array": linked}

    def render(screen: Screen) -> None:
        if flashed is not None:
            flashed.render(screen)
        if linked is not None:
            screen.say(f"{linked['path']}  {format_size(linked['bytes'])} of guest and models")

    return Answer(document, render)


@contextlib.contextmanager
def opened(project: Path) -> Iterator[Bundle]:
    """A bundle, or a project packed as it is."""
    from lading.bundle import open_bundle, pack
    from lading.project import load_project

    with contextlib.ExitStack() as stack:
        path = project
        if project.is_dir():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lading-flash-")))
            path = pack(load_project(project), folder / "bundle.lading").path
        bundle = stack.enter_context(open_bundle(path))
        bundle.verify()
        yield bundle


def _linked(
    bundle: Bundle,
    target_name: str,
    profile_name: str | None,
    variant: str | None,
    file: Path,
    project: Path | None,
    *,
    anyway: bool,
) -> dict[str, Any]:
    """Write the C header, if guest and models fit the part of the flash that firmware goes to."""
    from lading import profiles, targets
    from lading.cli.flash_answer import variant_for
    from lading.flash import budget, c_array
    from lading.golden.toml_edit import replace

    target = targets.find(target_name, project)
    profile = profiles.find(profile_name or target.profiles[0], project)
    chosen = variant or variant_for(bundle, profile.id)
    needed = budget.budget(bundle, target, profile, chosen, linked=True)
    if not anyway:
        budget.check(needed, target)
    size = budget.check_linked(bundle, target, chosen)
    replace(file, c_array.header(bundle, chosen).encode())
    return {"path": str(file), "bytes": size, "memory_needed": needed.needed}
