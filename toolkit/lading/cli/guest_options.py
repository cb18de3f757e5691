"""What verbs that need a guest, but no device, take on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.invocation import INVOCATION
from lading.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from lading.trace import SubjectOptions

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME=FILE[,KEY=VALUE]…",
        help="A model to load by name. Keys: encoding, target, int8 (as-u8, quantize-f32), state (OUTPUT->INPUT).",
    ),
]
Directories = Annotated[
    list[str] | None,
    typer.Option("--dir", metavar="HOST::GUEST[:rw]", help="Open a directory for the guest, read-only unless rw."),
]
Variables = Annotated[
    list[str] | None, typer.Option("--env", metavar="KEY=VALUE", help="Set a variable for the guest.")
]
Timeout = Annotated[
    str | None, typer.Option(metavar="S", help="End the traced run after this time (60s, 5m); one minute else.")
]


def subject_options(
    models: list[str] | None, directories: list[str] | None, variables: list[str] | None
) -> SubjectOptions:
    """The options as the library takes them; arguments for the guest follow ``--``.

    Raises:
        UsageError: one of them is written wrong.
    """
    from lading.cli.options import guest_text, guest_variables
    from lading.cli.verbs.emulate import parse_dir, parse_model
    from lading.trace import SubjectOptions

    given = INVOCATION.guest_args
    return SubjectOptions(
        args=None if given is None else [guest_text(word, "the argument") for word in given],
        env=guest_variables(variables),
        models=[parse_model(text) for text in models or ()],
        dirs=[parse_dir(text) for text in directories or ()],
    )


def place_for(file: Path | None, option: str) -> None:
    """Refuse, before anything is run, a file that cannot be written afterwards.

    Raises:
        UsageError: it is a folder, or its folder is not there.
    """
    if file is None:
        return
    if file.is_dir():
        raise UsageError(f"{option}: {file} is a folder", remedy="give a file's path")
    if not file.parent.is_dir():
        raise UsageError(f"{option}: there is no folder {file.parent}", remedy="make it first, or choose another")
