"""``lading fetch``: bring a file that a guest wrote to this machine."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import DeviceArgument, Json
from lading.cli.screen import Screen
from lading.errors import UsageError
from lading.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable

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
        if place.exists() and not place.is_file():  # a pipe, a device: written to, never replaced
            with place.open("wb") as sink:
                octets = bring(sink)
        else:
            octets = _replace(place, bring)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}", remedy="give another place with -o FILE") from None
    document = {
        "device": str(found),
        "app": app,
        "path": path,
        "output": str(place),
        "size": octets,
        "digest": f"sha256:{hashed.hexdigest()}",
    }
    return Answer(document, lambda shown: shown.say(f"{place}  {format_size(octets)}"))


def _replace(place: Path, bring: Callable[[BinaryIO], int]) -> int:
    """Bring a file beside ``place`` and put it there when it is whole."""
    handle, name = tempfile.mkstemp(prefix=f".{place.name[:100]}.", suffix=".part", dir=place.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as sink:
            octets = bring(sink)
            mask = os.umask(0o022)
            os.umask(mask)
            os.fchmod(sink.fileno(), 0o666 & ~mask)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return octets
