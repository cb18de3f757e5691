"""The native runner that lading brings: one program for each architecture, and what it calls in its engines."""

from __future__ import annotations

import importlib.metadata
import json
from functools import cache as remembered
from pathlib import Path
from typing import Final

import lading_agent
from lading import __version__
from lading.engines import elf
from lading.engines.cache import sha256_of
from lading.engines.parts import EnginePart
from lading.errors import EngineDamaged, NoSuchEngine

_BINARIES: Final = Path(lading_agent.__file__).resolve().parent.parent / "lading_runner" / "bin"
_PREFIX: Final = "lading-runner-"
_INSTALL_AGAIN: Final = "install lading again"

ARCHITECTURES: Final = ("x86_64", "aarch64")
"""What there is a runner for."""


def runner_binary(architecture: str) -> EnginePart:
    """The runner for an architecture, as it is sent to devices.

    Raises:
        NoSuchEngine: there is none for that architecture.
        EngineDamaged: the program that lading brought is not there, or not readable.
    """
    if architecture not in ARCHITECTURES:
        raise NoSuchEngine(
            f"there is no native runner for {architecture}",
            remedy=f"there is one for {' and '.join(ARCHITECTURES)}; on other boards use an installed runtime "
            '(runtime = "wasmedge" or "iwasm" in lading.toml)',
        )
    path = _BINARIES / f"{_PREFIX}{architecture}"
    try:
        known = elf.read(path.read_bytes())
        digest = sha256_of(path)
        size = path.stat().st_size
    except (OSError, elf.ElfError) as error:
        raise EngineDamaged(f"{path}: cannot be used: {error}", remedy=_INSTALL_AGAIN) from error
    own = licence()
    return EnginePart(
        "runner",
        __version__,
        architecture,
        path,
        f"sha256:{digest}",
        size,
        (own,) if own else (),
        {"architecture": architecture, **known.minimums},
    )


@remembered
def symbols(name: str) -> frozenset[str]:
    """The functions that the runner looks up in an engine's library.

    Raises:
        EngineDamaged: the list that lading brought is not there.
    """
    path = _BINARIES / "symbols.json"
    try:
        return frozenset(json.loads(path.read_bytes())[name])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise EngineDamaged(f"{path}: cannot be used: {error}", remedy=_INSTALL_AGAIN) from error


def licence() -> Path | None:
    """lading's own licence (Apache-2.0), where it was installed."""
    try:
        files = importlib.metadata.files("lading") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == ("licenses", "LICENSE"):
            path = Path(str(file.locate()))
            if path.is_file():
                return path
    beside = Path(__file__).resolve().parents[3] / "LICENSE"
    return beside if beside.is_file() else None
