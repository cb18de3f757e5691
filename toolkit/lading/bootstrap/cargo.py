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
    from collections.abc import Mapping, Sequence

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
    runtimes: Sequence[Mapping[str, Any]] = ()
    """What is known of other runtimes: ``id`` of each firmware profile, its ``command`` and ``statuses``."""

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
        doc = {"agent": self.digest, "profile": self.profile, "engines": self.engines, "runtimes": list(self.runtimes)}
        return hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest()[:16]


class Remembered(Cargo):
    """A cargo whose names are known from before; what it consists of is made when somebody asks for it.

    Args:
        digest: the agent's SHA-256, in hexadecimal.
        ready: the name of all this together.
        project_dir: the project whose firmware profiles and engines count as well.
    """

    def __init__(self, digest: str, ready: str, project_dir: Path | None) -> None:
        self.__dict__.update(digest=digest, ready=ready, _project_dir=project_dir)

    @cached_property
    def _made(self) -> Cargo:
        return make_cargo(self.__dict__["_project_dir"])

    @property
    def agent(self) -> bytes:
        """The zip application."""
        return self._made.agent

    @property
    def profile(self) -> Mapping[str, Any]:
        """The resolved firmware profile that the device gets."""
        return self._made.profile

    @property
    def engines(self) -> Mapping[str, Any]:
        """Which engines, by architecture."""
        return self._made.engines

    @property
    def runtimes(self) -> Sequence[Mapping[str, Any]]:
        """What is known of other runtimes."""
        return self._made.runtimes


def load_cargo(project_dir: Path | None = None) -> Cargo:
    """What this lading brings. To start an agent that is in place its names are enough, and those are remembered.

    Args:
        project_dir: the project whose firmware profiles and engines count as well.
    """
    from lading.bootstrap import names

    now = names.fingerprint(project_dir)
    known = names.recall(now)
    if known is not None:
        return Remembered(*known, project_dir)
    made = make_cargo(project_dir)
    names.remember(now, made.digest, made.ready)
    return made


def make_cargo(project_dir: Path | None = None) -> Cargo:
    """What this lading brings, all of it; argument as :func:`load_cargo`."""
    from lading import profiles
    from lading.client.zipapp import build_agent
    from lading.devices.resolve import DEFAULT_FIRMWARE

    profile = profiles.find(DEFAULT_FIRMWARE, project_dir).resolved()
    return Cargo(build_agent(with_host=False), profile, _engines(), known_runtimes(project_dir))


def known_runtimes(project_dir: Path | None = None) -> list[dict[str, Any]]:
    """What an agent is told of the runtimes that a device may have of its own.

    A profile whose file cannot be used stands for no runtime: whoever uses it is told what is wrong with it.
    """
    from lading import profiles

    known = profiles.load_all(project_dir, skipped=lambda _error: None)
    docs = [profile.resolved() for profile in known.values() if profile.command is not None]
    return [{key: doc[key] for key in ("id", "command", "statuses")} for doc in docs]


def engines_folder() -> Path | None:
    """The folder with wheels that the user named, if he did."""
    text = os.environ.get(ENGINES_FOLDER)
    return Path(text).expanduser() if text else None


def use_engines_from(folder: Path) -> None:
    """Have this process take engines' wheels from a folder.

    Raises:
        UsageError: it is not there.
    """
    from lading.errors import UsageError

    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder", remedy="fill one where there is a network: lading engines fetch --all --to DIR"
        )
    os.environ[ENGINES_FOLDER] = str(folder.absolute())


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
