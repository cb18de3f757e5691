"""The agent leaves: nothing of it, of its apps, and of what it started stays on the device."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from typing import Any, Dict, List

from lading_agent.bootstrap.leave import leave
from lading_agent.errors import AgentError
from lading_agent.store.layout import Layout
from lading_agent.store.lock import locked

OURS = (
    *("agent", "apps", "blobs", "cache", "engines", "staging", "runs", "services", "pending"),
    *("device.json", "runtimes.json", "lock"),
)
"""What may be in a home. Anything else is somebody else's, and stays."""


def purge(layout: Layout) -> Dict[str, Any]:
    """Remove the home, and the folders above it that came with it.

    Returns:
        ``removed``: whether the home is gone; ``left``: what is in it that is not ours;
        ``notes``: what could not be taken back, in words.

    Raises:
        AgentError: ``usage``: that folder is no agent's home. ``lock-held``: a client is at work.
    """
    if not layout.home.is_dir():
        return {"removed": True, "left": [], "notes": []}
    if not (layout.agent.is_dir() or layout.device.is_file()):
        raise AgentError(
            "usage", f"{layout.home} is not an agent's home", "give the home that the device was added with"
        )
    made = _made(layout)
    with locked(layout.lock, {}, "removal of lading"):
        notes = leave(layout)
    layout = Layout(layout.home.resolve())  # a link to a folder cannot be removed as one
    for name in OURS:
        path = layout.home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    left = sorted(os.listdir(layout.home))  # noqa: PTH208  names are wanted, not paths
    if left:
        return {"removed": False, "left": left[:50], "notes": notes}
    layout.home.rmdir()
    for folder in made:
        with contextlib.suppress(OSError):  # somebody else has put something there since
            os.rmdir(folder)  # noqa: PTH106
    return {"removed": True, "left": [], "notes": notes}


def _made(layout: Layout) -> List[str]:
    try:
        folders = json.loads((layout.agent / "made").read_bytes())["folders"]
    except (OSError, ValueError, LookupError, TypeError):
        return []
    return [folder for folder in folders if isinstance(folder, str)] if isinstance(folders, list) else []
