"""What the agent knows about the device that it looks after: target, firmware profile, store, runner."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from lading_agent.errors import AgentError
from lading_agent.keep.surroundings import Surroundings
from lading_agent.runs.choose import Chooser
from lading_agent.store.steps import Steps
from lading_agent.wire.frames import MAX_FRAME
from lading_agent.wire.hello import Hello

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.runs.launch import RunnerCommand
    from lading_agent.store.layout import Layout

FEATURES = (
    "push",
    "run",
    "stdin",
    "fetch",
    "pins",
    "describe",
    "detach",
    "service",
    "confirm",
    "facts",
    "probe",
    "engines",
    "runtimes",
    "guest",
)
"""Of every agent; ``runtime-NAME`` is added for each runtime that can be used, ``lading`` among them."""
STDIN_WINDOW = 256 * 1024
_TARGET_KEYS = ("id", "name", "architecture", "memory_bytes", "run_memory_bytes", "storage_bytes")


@dataclass(frozen=True)
class Served:
    """A device as its agent serves it."""

    layout: Layout
    target: Mapping[str, Any]
    """The resolved target."""
    profile: Mapping[str, Any]
    """The resolved firmware profile."""
    steps: Steps = field(default_factory=Steps)
    runner: RunnerCommand = field(default_factory=Chooser)
    emulated: bool = False
    """The target is acted, on some other machine: what that machine is made of is nobody's business."""
    device_file: Optional[Path] = None
    """Where target and profile were read from; None: ``device.json`` in the home."""
    surroundings: Surroundings = field(default_factory=Surroundings)
    runtimes: Sequence[Mapping[str, Any]] = ()
    """What is known of other runtimes: ``id`` of a firmware profile, its ``command`` and ``statuses``."""

    def own_words(self, command: str) -> List[str]:
        """The command line of another process of this agent, for the same device."""
        device = [] if self.device_file is None else ["--device", str(self.device_file.absolute())]
        words = self.surroundings.command_for(self.layout.agent)
        return [*words, command, "--home", str(self.layout.home), *device]

    @property
    def run_memory_bytes(self) -> Optional[int]:
        """What a run may use on this target; None where that is not known."""
        value = self.target.get("run_memory_bytes")
        return int(value) if value else None

    @property
    def storage_bytes(self) -> Optional[int]:
        """What the target's storage holds; None where that is not known."""
        value = self.target.get("storage_bytes")
        return int(value) if value else None

    def hello(self) -> Hello:
        """What the agent says first."""
        from lading_agent.serve.runtimes import OWN, names, own_unable

        own = () if own_unable(self) else (OWN,)
        return Hello(
            role="agent",
            features=(*FEATURES, *(f"runtime-{name}" for name in (*own, *names(self)))),
            limits={"frame": MAX_FRAME, "stdin": STDIN_WINDOW},
            python=sys.version.split()[0],
            machine=os.uname().machine,
            target={key: self.target[key] for key in _TARGET_KEYS if self.target.get(key) is not None},
            profile={key: self.profile[key] for key in ("id", "name") if key in self.profile},
        )


def read_device(path: Path) -> Dict[str, Any]:
    """The document that says which device this is: ``{"target": …, "profile": …}``, both resolved.

    Raises:
        AgentError: it is missing or damaged.
    """
    try:
        doc = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise AgentError(
            "agent-failed", f"the device file {path} cannot be read: {error}", "set the device up again"
        ) from error
    if not isinstance(doc, dict) or not all(isinstance(doc.get(key), dict) for key in ("target", "profile")):
        raise AgentError("agent-failed", f"the device file {path} has no target and profile", "set the device up again")
    return doc
