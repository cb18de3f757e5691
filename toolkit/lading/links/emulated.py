"""Emulated devices: the very same agent, started on this machine, with a target and a firmware profile given to it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from lading import datafiles
from lading.errors import DeviceUnreachable
from lading.links.process import ProcessLink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

AGENT_COMMAND = (sys.executable, "-m", "lading_agent")


def open_emulated(
    home: Path,
    target: Mapping[str, Any],
    profile: Mapping[str, Any],
    description: str,
    command: Sequence[str] | None = None,
) -> ProcessLink:
    """Start the agent of an emulated device.

    Args:
        home: the folder that keeps the device's state; made if it is missing.
        target: the resolved target.
        profile: the resolved firmware profile.
        description: the device's address, for messages.
        command: starts another agent than this package's; ``serve --home …`` is added to it.

    Raises:
        DeviceUnreachable: the folder cannot be used, or the agent does not start.
    """
    home = home.expanduser().absolute()
    try:
        home.mkdir(parents=True, exist_ok=True)
        engines = datafiles.user_cache_dir() / "engines"
        doc = {"target": dict(target), "profile": dict(profile), "emulated": True, "engines": str(engines)}
        _write_device(home / "device.json", doc)
    except OSError as error:
        raise DeviceUnreachable(
            f"{description}: its folder {home} cannot be used: {error.strerror}",
            remedy="give another folder: emulated://TARGET?state=DIR",
        ) from error
    return ProcessLink([*(command or AGENT_COMMAND), "serve", "--home", str(home)], description)


def _write_device(path: Path, doc: Mapping[str, Any]) -> None:
    """Write the device file, whole or not at all, and only when it changes."""
    data = json.dumps(doc, sort_keys=True).encode()
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
