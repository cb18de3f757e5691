"""What is put on a device: the runner, or an engine's library, with what goes along."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

Progress: TypeAlias = "Callable[[str, int, int], None]"
"""Called with what is being fetched, the bytes that are there, and all of them."""


@dataclass(frozen=True)
class EnginePart:
    """A file for a device, on this machine."""

    name: str
    """``runner``, ``wasmtime`` or ``litert``."""
    version: str
    architecture: str
    library: Path
    digest: str
    """``sha256:…`` of the library's file."""
    size: int
    licences: tuple[Path, ...] = ()
    minimums: Mapping[str, str] = field(default_factory=dict)
    """See :func:`lading.engines.suit.fits`."""
