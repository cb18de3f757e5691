"""What an agent's own processes stand in: how they are started, the environment, the boot and its clock."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Mapping, Tuple

from lading_agent.runs.launch import zipapp_path
from lading_agent.store.lock import boot_id

if TYPE_CHECKING:
    from pathlib import Path


def boottime() -> float:
    """Seconds since the device was started, sleep included: no clock that anybody sets."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Surroundings:
    """What the agent's own processes stand in."""

    command: Tuple[str, ...] = ()
    """Starts another process of this agent; its own words are added. Empty: as this very agent was started."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Where programs of the system (systemctl, crontab) are looked for, and what they are given."""
    boot_id: Callable[[], str] = boot_id
    clock: Callable[[], float] = boottime
    """Seconds since the boot that ``boot_id`` names."""

    def command_for(self, installed: Path) -> Tuple[str, ...]:
        """How another process of this agent is started.

        Args:
            installed: the folder of installed agents. Where this agent is one of them, what is left behind is started
                by the name that the newest one has, so that it is still there after an update.
        """
        if self.command:
            return self.command
        archive = zipapp_path()
        if archive is None:
            return (sys.executable, "-m", "lading_agent")
        current = installed / "current"
        if archive.parent == installed and current.exists():
            return (sys.executable, "-I", "-S", str(current))
        return (sys.executable, str(archive))
