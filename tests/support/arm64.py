"""The aarch64 runner on this machine: under qemu's user emulation, over the engines' aarch64 wheels."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading_agent.engines.parts import EngineFile, EngineSet
from lading_agent.runs.native import NativeRunner

if TYPE_CHECKING:
    from lading_agent.runs.spec import RunSpec

ROOT = Path(__file__).resolve().parents[2]
QEMU = "qemu-aarch64-static"
SYSROOT = "LADING_ARM64_SYSROOT"
"""Names a folder that ``scripts/arm64-sysroot`` made before; without it the tests make one."""


@dataclass(frozen=True)
class Emulated:
    """A :data:`~lading_agent.runs.launch.RunnerCommand` for the other architecture."""

    sysroot: Path
    native: NativeRunner

    def __call__(self, spec: RunSpec) -> list[str]:
        """The command for a run."""
        return self.program(self.native(spec))

    def program(self, words: list[str]) -> list[str]:
        """Any command line of the runner, under qemu."""
        return [QEMU, "-cpu", "cortex-a72", "-L", str(self.sysroot), *words]


def emulated(folder: Path) -> Emulated:
    """The runner, its libraries and engines; the test is skipped where they cannot be had, and fails in CI."""
    if shutil.which(QEMU) is None:
        _without(f"there is no {QEMU} (Debian: qemu-user-static)")
    return Emulated(_sysroot(folder), NativeRunner(_engines()))


def _engines() -> EngineSet:
    from lading import engines
    from lading.errors import LadingError

    try:
        parts = engines.default_set("aarch64")
    except LadingError as error:
        _without(f"no engines for aarch64: {error}")
    return EngineSet(*(EngineFile(p.name, p.version, p.library, p.digest) for p in parts))


def _sysroot(folder: Path) -> Path:
    given = os.environ.get(SYSROOT)
    if given:
        return Path(given)
    made = subprocess.run(
        [ROOT / "scripts" / "arm64-sysroot", folder], capture_output=True, text=True, timeout=300, check=False
    )
    if made.returncode:
        _without(f"no arm64 libraries: {made.stderr.strip()[-300:]}")
    return folder


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
