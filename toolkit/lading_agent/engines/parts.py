"""The three files that make the native runtime: the runner and the two engines that it loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Tuple

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = "runner"
WASMTIME = "wasmtime"
LITERT = "litert"


class EngineMissing(RuntimeError):
    """There is no native runner for this machine, or one of its engines is not there."""


class EngineDamaged(RuntimeError):
    """An engine's file is not what it was when it was installed."""

    def __init__(self, file: EngineFile) -> None:
        super().__init__(f"engine damaged: {file.name} {file.version} is not what was installed ({file.path})")
        self.file = file


@dataclass(frozen=True)
class EngineFile:
    """One program or library."""

    name: str
    """:data:`RUNNER`, :data:`WASMTIME` or :data:`LITERT`."""
    version: str
    path: Path
    digest: str
    """``sha256:…`` of the file as it was installed."""


@dataclass(frozen=True)
class EngineSet:
    """Three files that work together."""

    runner: EngineFile
    wasmtime: EngineFile
    litert: EngineFile

    @property
    def files(self) -> Tuple[EngineFile, ...]:
        """All of them, the runner first."""
        return (self.runner, self.wasmtime, self.litert)
