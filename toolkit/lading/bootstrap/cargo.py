"""What a device gets: the agent, the device file's firmware profile, and which engines; all of it by one name."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINES_FOLDER: Final = "LADING_ENGINES"
"""The environment variable that names a folder with the engines' wheels, for closed networks."""


@dataclass(frozen=True)
class Cargo:
    """What this lading brings to Linux devices."""

    agent: bytes
    """The zip application."""
    profile: Mapping[str, Any]
    """The resolved firmware profile that the device gets."""
    engines: Mapping[str, Any]
    """Which engines, by architecture: what changes when they do."""

    @cached_property
    def digest(self) -> str:
        """The agent's SHA-256, in hexadecimal."""
        return hashlib.sha256(self.agent).hexdigest()

    @property
    def file_name(self) -> str:
        """The agent's file name on the device."""
        version = "".join(c if c.isalnum() or c in ".+_" else "_" for c in __version__)[:60]
        return f"{version}-{self.digest[:12]}.pyz"

    @cached_property
    def ready(self) -> str:
        """The name of all this together: another one where anything differs."""
        doc = {"agent": self.digest, "profile": self.profile, "engines": self.engines}
        return hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest()[:16]


def load_cargo(project_dir: Path | None = None) -> Cargo:
    """What this lading brings.

    Args:
        project_dir: the project whose firmware profiles and engines count as well.
    """
    from lading import profiles
    from lading.client.zipapp import build_agent
    from lading.devices.resolve import DEFAULT_FIRMWARE

    profile = profiles.find(DEFAULT_FIRMWARE, project_dir).resolved()
    return Cargo(build_agent(with_host=False), profile, _engines())


def engines_folder() -> Path | None:
    """The folder with wheels that the user named, if he did."""
    text = os.environ.get(ENGINES_FOLDER)
    return Path(text).expanduser() if text else None


def _engines() -> dict[str, Any]:
    from lading.engines import ARCHITECTURES, choose, runner_binary

    chosen = choose()
    return {
        architecture: [
            runner_binary(architecture).digest,
            *(engine.wheel(architecture).library.stripped_sha256 for engine in chosen),
        ]
        for architecture in ARCHITECTURES
    }
