"""That everything a client needs is in place: one file under the client's own name for "everything".

``agent/ID.json`` is the device file that such a client serves with. ``agent/ID.ready`` comes last, when agent, device
file and engines are there and were tried; its one line is the Python that runs the agent. Whoever wants exactly that
starts the agent at once; what is missing or damaged has no such file, or loses it, and is brought again.
"""

from __future__ import annotations

import contextlib
import re
import sys
from typing import TYPE_CHECKING, Final

from lading_agent.errors import AgentError
from lading_agent.store.durable import make_dirs, replace_file, sync_dir

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.store.layout import Layout

READY_ID: Final = re.compile(r"[0-9a-f]{16}")
SUFFIX: Final = ".ready"
MOST: Final = 4
"""Clients of how many versions find everything ready."""


def ready_path(layout: Layout, ready: str) -> Path:
    """Where that one's file is.

    Raises:
        AgentError: ``usage``: that is no id.
    """
    if not READY_ID.fullmatch(ready):
        raise AgentError("usage", f"{ready[:64]!r} does not name a client's needs", "update lading on both sides")
    return layout.agent / f"{ready}{SUFFIX}"


def mark_ready(layout: Layout, ready: str) -> None:
    """Write down that everything is there; the oldest notes go."""
    path = ready_path(layout, ready)
    make_dirs(layout.agent)
    replace_file(path, f"{sys.executable}\n".encode("utf-8", "surrogateescape"), layout.scratch())
    notes = sorted(layout.agent.glob(f"*{SUFFIX}"), key=lambda note: note.stat().st_mtime_ns)
    kept = {note.stem for note in (*notes[-MOST:], path)}
    for pattern in (f"*{SUFFIX}", "*.json"):
        for other in layout.agent.glob(pattern):
            if other.stem not in kept:
                other.unlink()


def mark_unready(layout: Layout) -> None:
    """Something is missing or damaged: nobody finds everything there any more."""
    gone = False
    for note in layout.agent.glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            note.unlink()
            gone = True
    if gone:
        sync_dir(layout.agent)
