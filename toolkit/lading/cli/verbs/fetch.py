"""``lading fetch``: bring a file that a guest wrote to this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, Json
from lading.cli.screen import Screen
from lading.errors import UsageError
from lading.units import format_size

EPILOG = "Example:  lading fetch emulated://raspberry-pi-4b digits /var/results.csv -o results.csv"


@verb("fetch")
def fetch(
    device: DeviceArgument,
    app: Annotated[str, typer.Argument(metavar="APP", help="The app.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="As the guest sees it, in one of its state directories.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: the file's name here; - is standard output."),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """Bring a file that a guest wrote to one of its state directories to this machine."""
    import hashlib

    from lading.cli.progress import Bars
    from lading.client import connect
    from lading.devices import resolve

    screen = Screen(as_json=as_json)
    to_stdout = output == Path("-")
    if to_stdout and as_json:
        raise UsageError("--json and -o - both want standard output", remedy="give -o FILE")
    found = resolve(device)
    hashed = hashlib.sha256()
    place = output or Path(path.rstrip("/").rsplit("/", 1)[-1])
    if not to_stdout and place.is_dir():
        place = place / path.rstrip("/").rsplit("/", 1)[-1]
    part = place.with_name(place.name + ".part")

    def bring(sink: BinaryIO) -> int:
        def take(data: bytes) -> None:
            hashed.update(data)
            sink.write(data)

        with Bars(screen) as bars, connect(found) as session:
            return session.fetch(app, path, take, progress=lambda done, total: bars.update(path, done, total))

    if to_stdout:
        octets = bring(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return Answer({})
    try:
        with part.open("wb") as sink:
            octets = bring(sink)
        part.replace(place)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}", remedy="give another place with -o FILE") from None
    finally:
        part.unlink(missing_ok=True)
    document = {
        "device": str(found),
        "app": app,
        "path": path,
        "output": str(place),
        "size": octets,
        "digest": f"sha256:{hashed.hexdigest()}",
    }
    return Answer(document, lambda shown: shown.say(f"{place}  {format_size(octets)}"))
