"""Small JSON files of one process: a reader sees the old one or the new one."""

from __future__ import annotations

import contextlib
import json
import os
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from lading_agent.store.durable import replace_json

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
MAX_BYTES = 1024 * 1024


def write(path: Path, doc: Mapping[str, Any]) -> None:
    """Replace a file, durably.

    Its scratch lies beside it and not in staging, which a sweep may clean at any moment.
    """
    replace_json(path, {"schema": SCHEMA, **doc}, path.with_name(f".{path.name}.{os.getpid()}"))


def read(path: Path) -> Optional[Dict[str, Any]]:
    """A file's document; None where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            doc = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) and doc.get("schema") == SCHEMA else None


def remove(path: Path) -> None:
    """Take a file away, if it is there."""
    from lading_agent.store.durable import sync_dir

    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_dir(path.parent)
