"""``lading adapt``: a guest for another host, without its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json, parse_pair
from lading.units import format_size

if TYPE_CHECKING:
    from lading.cli.screen import Screen
    from lading.variants.guests.abi import Abi

EPILOG = "Example:  lading adapt app.wasm --from spec-old --to wasmedge-0.17 -o app-wasmedge.wasm"


@verb("adapt")
def adapt(
    module: Annotated[Path, typer.Argument(metavar="MODULE", help="A guest: a core module.")],
    host: Annotated[str, typer.Option("--to", metavar="PROFILE", help="The firmware that it is to run on.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The new guest. None: say what would change.")
    ] = None,
    made_for: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WHOM",
            help="What it was made for: a firmware profile, or spec-new, spec-old, wamr-2.1, legacy as `lading trace` "
            "tells it.",
        ),
    ] = "spec-new",
    embed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A model to be part of it where the host loads none by name."),
    ] = None,
    uncalled: Annotated[
        list[str] | None, typer.Option(metavar="FUNCTION", help="It imports this one and never calls it.")
    ] = None,
    lower: Annotated[bool, typer.Option(help="Do without what the host's engine does not load.")] = True,
    slim: Annotated[bool, typer.Option("--slim", help="Make it smaller (with wasm-opt, if that is here).")] = False,
    as_json: Json = False,
) -> Answer:
    """Rewrite a guest's wasi-nn calls for another host: numbers, layouts, sizes, missing functions.

    Its memory and exports stay as they are. `pack` does this by itself where a board needs it, and converts tensor data
    as well; docs/guests.md says how.
    """
    from lading import profiles
    from lading.golden.toml_edit import replace
    from lading.variants.guests import files
    from lading.variants.guests.abi import Plan, abi_of
    from lading.variants.guests.adapt import adapt as adapted
    from lading.variants.guests.lower import lower as lowered
    from lading.variants.guests.slim import slim as slimmed

    data = files.read(module)
    firmware = profiles.find(host)
    plan = Plan(_speaker(made_for), abi_of(firmware), uncalled=frozenset(uncalled or ()), models=_models(embed or []))
    found = adapted(data, plan)
    out, changes = found.module, list(found.changes)
    if lower:
        older = lowered(out, firmware.wasm.features)
        out = older.module
        changes += older.changes
    if slim:
        smaller = slimmed(out)
        out = smaller.module
        changes += smaller.changes
    if output is not None:
        replace(output, out)
    document = {
        "module": str(module),
        "path": str(output) if output is not None else None,
        "from": plan.guest.name,
        "to": firmware.id,
        "size_before": len(data),
        "size": len(out),
        "changes": [change._asdict() for change in changes],
    }

    def render(screen: Screen) -> None:
        for change in changes:
            screen.say(f"{change.what}: {change.how}")
        if not changes:
            screen.say(f"nothing to change: {firmware.id} understands it as it is")
        if output is not None:
            screen.say(f"{output}  {format_size(len(out))} ({len(out) - len(data):+d} bytes)")

    return Answer(document, render)


def _speaker(name: str) -> Abi:
    from lading import profiles
    from lading.variants.guests.abi import ERAS, abi_of, abi_of_era

    return abi_of_era(name) if name in ERAS else abi_of(profiles.find(name))


def _models(given: list[str]) -> dict[str, bytes]:
    from lading.variants.models import files

    pairs = [parse_pair(pair, "--embed", "NAME=FILE") for pair in given]
    return {name: files.read(Path(path)) for name, path in pairs}
