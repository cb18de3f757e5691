"""Arguments and options that several verbs share, and the parsers of their values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from lading.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, nothing else.")]
DeviceArgument = Annotated[
    str, typer.Argument(metavar="DEVICE", help="An address such as emulated://raspberry-pi-4b, or a name.")
]
DevicesArgument = Annotated[
    list[str], typer.Argument(metavar="DEVICE", help="Addresses, names or groups of devices.toml.")
]
AppArgument = Annotated[
    str | None, typer.Argument(metavar="APP", help="The app; may be left out when the device holds one.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
ConfirmWithin = Annotated[
    str | None,
    typer.Option(
        metavar="S", help="Unless `lading confirm` comes within this time (60s, 5m), the device goes back by itself."
    ),
]
ProjectArgument = Annotated[
    Path, typer.Argument(metavar="PROJECT", help="A folder with lading.toml, or a .lading bundle.")
]

_TIME = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|min|h)?")
_SECONDS = {None: 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime", metavar="NAME", help="Run it on this runtime of the device: lading, wasmedge, iwasm, wasmtime."
    ),
]
VariantOption = Annotated[
    str | None,
    typer.Option("--variant", metavar="ID", help="Send this variant (see `lading inspect`), not the best that fits."),
]
EnginesFrom = Annotated[
    Path | None,
    typer.Option(
        "--engines-from", metavar="DIR", help="Should the device need engines, take their wheels from this folder."
    ),
]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown", help="Also where the check does not know whether it works.")
]


def parse_size(text: str, option: str) -> int:
    """``64MiB``, ``1.5GB``, ``4096``: bytes.

    Raises:
        UsageError: not a size, or nothing.
    """
    from lading import units

    try:
        size = units.parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", remedy=f"write {option} 64MiB") from None
    if size == 0:
        raise UsageError(f"{option} is zero", remedy=f"leave {option} out for the default")
    return int(size)


def parse_time(text: str, option: str) -> float:
    """``60s``, ``1.5m``, ``250ms``, ``10``: seconds.

    Raises:
        UsageError: not a time, or not above zero.
    """
    match = _TIME.fullmatch(text.strip())
    if not match or float(match[1]) == 0:
        raise UsageError(
            f"{option}: {text!r} is not a time", remedy="write a number above zero with ms, s, m or h: 60s"
        )
    return float(match[1]) * _SECONDS[match[2]]


def guest_text(text: str, what: str) -> str:
    """Text that a guest can be given.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"{what} {text!a} is not UTF-8, and a guest's arguments and variables are", remedy="encode it as UTF-8"
        ) from None
    return text


def guest_variables(pairs: list[str] | None) -> dict[str, str]:
    """The variables that ``--env`` sets.

    Raises:
        UsageError: one is not ``KEY=VALUE`` in UTF-8.
    """
    return dict(parse_pair(guest_text(text, "--env"), "--env") for text in pairs or ())


def parse_pair(text: str, option: str, form: str = "KEY=VALUE") -> tuple[str, str]:
    """``KEY=VALUE``; ``form`` is what messages call it.

    Raises:
        UsageError: no ``=``, or nothing before it.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{option} {text!r} is not {form}", remedy=f"write {option} {form}")
    return key, value
