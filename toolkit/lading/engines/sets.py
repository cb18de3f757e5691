"""What a device gets: the runner and one of each engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.engines.catalogue import choose
from lading.engines.fetching import fetch
from lading.engines.runner import runner_binary
from lading.engines.suit import combine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.engines.parts import EnginePart, Progress


def minimums(architecture: str, versions: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a device needs for the runner and its engines, before any of them is fetched; see :func:`fits`.

    Args:
        architecture: of the device, as ``uname -m`` says it.
        versions: ``wasmtime`` and ``litert`` to a version, where it is not the default one.

    Raises:
        NoSuchEngine: there is no runner, or no such engine, for that architecture.
    """
    engines = choose(versions)
    return combine([runner_binary(architecture).minimums, *(engine.minimums(architecture) for engine in engines)])


def default_set(
    architecture: str,
    *,
    versions: Mapping[str, str] | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> tuple[EnginePart, ...]:
    """The runner and one of each engine, fetched: runner, wasmtime, litert.

    Args:
        architecture: of the device, as ``uname -m`` says it.
        versions: ``wasmtime`` and ``litert`` to a version, where it is not the default one.
        folder: a folder with wheels, looked into before the registry is asked.
        progress: is told how far a download is.

    Raises:
        NoSuchEngine, EngineUnreachable, EngineDamaged: one cannot be had.
    """
    runner, engines = runner_binary(architecture), choose(versions)
    return (runner, *(fetch(e, architecture, folder=folder, progress=progress) for e in engines))
