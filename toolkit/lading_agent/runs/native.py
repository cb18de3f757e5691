"""The native runner: the program that lading brings for this machine, over engines that are installed here.

The engines are the shared libraries inside the packages ``wasmtime`` and ``ai-edge-litert``; nothing of their Python
code is used.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional

if TYPE_CHECKING:
    from lading_agent.runs.spec import RunSpec

_BINARIES = Path(__file__).absolute().parents[2] / "lading_runner" / "bin"


class NativeMissing(RuntimeError):
    """There is no native runner for this machine, or one of its engines is not installed."""


@dataclass(frozen=True)
class NativeRunner:
    """A :data:`~lading_agent.runs.launch.RunnerCommand`: the program and its engines."""

    program: Path
    wasmtime: Path
    wasmtime_version: str
    litert: Path
    litert_version: str

    def __call__(self, spec: RunSpec) -> List[str]:  # noqa: ARG002
        """The command for a run."""
        return [
            str(self.program),
            "run",
            "--wasmtime",
            str(self.wasmtime),
            "--wasmtime-version",
            self.wasmtime_version,
            "--litert",
            str(self.litert),
            "--litert-version",
            self.litert_version,
        ]


def native_runner(program: Optional[Path] = None) -> NativeRunner:
    """The native runner of this machine.

    Args:
        program: another build of the runner than the one that lading brings.

    Raises:
        NativeMissing: this machine cannot have one, or an engine is not installed.
    """
    machine = platform.machine()
    if not sys.platform.startswith("linux"):
        raise NativeMissing(f"there is no native runner for {sys.platform}, only for Linux")
    if program is None:
        program = _BINARIES / f"lading-runner-{machine}"
        if not program.is_file():
            raise NativeMissing(f"there is no native runner for {machine} in {_BINARIES}")
    return NativeRunner(
        program,
        _file("wasmtime", f"wasmtime/linux-{machine}/_libwasmtime.so"),
        importlib.metadata.version("wasmtime"),
        _file("ai-edge-litert", "ai_edge_litert/libLiteRt.so"),
        importlib.metadata.version("ai-edge-litert"),
    )


def _file(package: str, name: str) -> Path:
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(name)))
    except importlib.metadata.PackageNotFoundError as error:
        raise NativeMissing(f"{package} is not installed here: the native runner needs its library") from error
    if not path.is_file():
        raise NativeMissing(f"{package} is installed without {name}: the native runner needs it")
    return path
