"""Engines that ``lading engines fetch`` left in the user's cache, for emulated devices: they run on the same machine.

Beside each library lies ``engine.json``: ``name``, ``version``, ``architecture``, ``library`` (its file's name) and
``digest``, as they were pinned.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable, Optional

from lading_agent.engines.parts import EngineFile, EngineMissing

RECORD = "engine.json"


def fetched(folder: Path) -> Callable[[str, str], EngineFile]:
    """Looks up engines for this machine in the cache's folder."""

    def find(name: str, version: str) -> EngineFile:
        for record in sorted(folder.glob(f"*/{RECORD}")):
            found = _read(record, name, version)
            if found is not None:
                return found
        raise EngineMissing(f"{name} {version} for {os.uname().machine} was not fetched")

    return find


def _read(record: Path, name: str, version: str) -> Optional[EngineFile]:
    try:
        doc: Any = json.loads(record.read_bytes())
        told = (doc["name"], doc["version"], doc["architecture"])
        path = record.parent / Path(doc["library"]).name
        digest = str(doc["digest"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    if told != (name, version, os.uname().machine) or not path.is_file():
        return None
    return EngineFile(name, version, path, digest)
