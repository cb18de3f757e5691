"""The engines inside the Python packages ``wasmtime`` and ``ai-edge-litert``, with the runner that lading brings.

Only their shared libraries are used, as they lie there; nothing of their Python code is.
"""

from __future__ import annotations

import base64
import binascii
import sys
from pathlib import Path
from typing import Optional

from lading_agent import __version__
from lading_agent.engines.identity import Identities
from lading_agent.engines.parts import LITERT, RUNNER, WASMTIME, EngineFile, EngineMissing, EngineSet

_BINARIES = Path(__file__).absolute().parents[2] / "lading_runner" / "bin"


def installed(identities: Optional[Identities] = None, *, program: Optional[Path] = None) -> EngineSet:
    """The native runner of this machine and the installed packages' libraries.

    Args:
        identities: where digests are remembered.
        program: another build of the runner than the one that lading brings.

    Raises:
        EngineMissing: this machine cannot have one, or an engine is not installed.
    """
    import platform  # takes its time to load, and devices have no packages

    machine = platform.machine()
    known = identities if identities is not None else Identities()
    if not sys.platform.startswith("linux"):
        raise EngineMissing(f"there is no native runner for {sys.platform}, only for Linux")
    if program is None:
        program = _BINARIES / f"lading-runner-{machine}"
        if not program.is_file():
            raise EngineMissing(f"there is no native runner for {machine} in {_BINARIES}")
    return EngineSet(
        EngineFile(RUNNER, __version__, program, known.digest(program)),
        _library(WASMTIME, "wasmtime", f"wasmtime/linux-{machine}/_libwasmtime.so", known),
        _library(LITERT, "ai-edge-litert", "ai_edge_litert/libLiteRt.so", known),
    )


def _library(part: str, package: str, name: str, identities: Identities) -> EngineFile:
    import importlib.metadata

    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise EngineMissing(f"{package} is not installed here: the native runner needs its library") from error
    path = Path(str(distribution.locate_file(name)))
    if not path.is_file():
        raise EngineMissing(f"{package} is installed without {name}: the native runner needs it")
    expected = _recorded(distribution.read_text("RECORD") or "", name)
    return EngineFile(part, distribution.version, path, expected or identities.digest(path))


def _recorded(record: str, name: str) -> Optional[str]:
    """A file's digest as the package's installer wrote it down, if it did."""
    start = f"{name},sha256="
    for line in record.splitlines():
        if line.startswith(start):
            text = line[len(start) :].partition(",")[0]
            try:
                digest = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except (binascii.Error, ValueError):
                return None
            return f"sha256:{digest.hex()}" if len(digest) == 32 else None
    return None
