"""``lading inspect``: look into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.units import format_size

EPILOG = "Example:  lading inspect digits.lading"


@verb("inspect")
def inspect(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A .lading file.")],
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Read the bill only; do not compare contents with their digests.")
    ] = False,
    as_json: Json = False,
) -> Answer:
    """Look into a bundle: app, guest, models, golden vectors, smoke runs, sizes; every content is verified."""
    from lading.bundle import inspect_bundle
    from lading.cli.progress import Bars

    with Bars(Screen(as_json=as_json)) as bars:
        seen = inspect_bundle(bundle, verify=not no_verify, progress=lambda d, t: bars.update("verify", d, t))
    bill = seen.bill

    def render(screen: Screen) -> None:
        word = "verified" if seen.verified else "not verified"
        screen.say(f"{bill.app.name} {bill.app.version}  (release {bill.release})", style="bold")
        screen.say(f"{seen.path}: {format_size(seen.size)}, {seen.blob_count} blobs, {word}, {seen.digest}")
        rows = [
            ["guest", variant.id, format_size(variant.module.size), _short(variant.module.digest)]
            for variant in bill.variants
        ]
        for variant in bill.variants:
            for entry in variant.models:
                model = bill.find_model(f"{entry.name}@{entry.version}" if entry.version else entry.name)
                rows.append(
                    ["model", f"{model.reference} ({model.int8})", format_size(entry.size), _short(entry.digest)]
                )
        rows += [
            [
                "directory",
                f"{directory.guest} ({len(directory.files)} files)",
                format_size(sum(file.size for file in directory.files)),
                "",
            ]
            for directory in bill.dirs
        ]
        rows += [["state", directory.guest, "", ""] for directory in bill.state]
        screen.table(["what", "name", "size", "digest"], rows, right=["size"])
        screen.say(f"golden vectors: {len(bill.golden)}, smoke runs: {len(bill.smoke)}")

    return Answer(seen.to_json(), render)


def _short(digest: str) -> str:
    """Enough of a digest to tell two apart; ``--json`` has the whole."""
    return digest[:19]
