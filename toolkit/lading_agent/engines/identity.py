"""What an engine's file contains, without reading 26 MB at every start.

A file's digest is remembered with its size, times and inode number. Whoever replaces or edits the file changes one of
them, and it is read again; a medium that loses a bit changes none, so a run that ended badly has the files read again
(:func:`first_damaged`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from lading_agent.engines.parts import EngineDamaged, EngineFile, EngineSet

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
FILE = "engine-digests.json"
CHUNK = 1024 * 1024
MOST_REMEMBERED = 64


def digest_of(path: Path) -> str:
    """``sha256:…`` of a file, read now."""
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            hasher.update(chunk)
    return f"sha256:{hasher.hexdigest()}"


class Identities:
    """Digests of files, remembered in a folder as long as the files do not change.

    Args:
        folder: where they are remembered; None: in this object only. A folder that cannot be written is no error.
    """

    def __init__(self, folder: Optional[Path] = None) -> None:
        self._file = folder / FILE if folder is not None else None
        self._lock = threading.Lock()
        self._known: Optional[Dict[str, List[Any]]] = None

    def digest(self, path: Path) -> str:
        """A file's digest, as it was when the file last changed."""
        now = state_of(path)
        with self._lock:
            entry = self._remembered().get(str(path))
            if entry is not None and entry[:-1] == now:
                return str(entry[-1])
            digest = digest_of(path)
            if state_of(path) == now:
                self._remember(str(path), [*now, digest])
            return digest

    def forget(self, path: Path) -> None:
        """Have a file read again when its digest is asked for next."""
        with self._lock:
            if self._remembered().pop(str(path), None) is not None:
                self._write()

    def _remembered(self) -> Dict[str, List[Any]]:
        if self._known is None:
            self._known = _read(self._file) if self._file is not None else {}
        return self._known

    def _remember(self, path: str, entry: List[Any]) -> None:
        known = self._remembered()
        known.pop(path, None)
        known[path] = entry
        while len(known) > MOST_REMEMBERED:
            del known[next(iter(known))]
        self._write()

    def _write(self) -> None:
        if self._file is None:
            return
        scratch = self._file.with_name(f"{FILE}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"schema": SCHEMA, "files": self._known}), encoding="utf-8")
            scratch.replace(self._file)


def check(engines: EngineSet, identities: Identities) -> None:
    """See that every file is what was installed; a file that did not change since is not read.

    Raises:
        EngineDamaged: one is not.
        OSError: one cannot be read.
    """
    for file in engines.files:
        if identities.digest(file.path) != file.digest:
            identities.forget(file.path)  # whoever put it right is believed at once
            raise EngineDamaged(file)


def first_damaged(engines: EngineSet, identities: Identities) -> Optional[EngineFile]:
    """Read all files again: the first one that is not what was installed."""
    for file in engines.files:
        identities.forget(file.path)
    try:
        check(engines, identities)
    except EngineDamaged as error:
        return error.file
    except OSError:
        return None
    return None


def state_of(path: Path) -> List[int]:
    """What changes when a file does: size, times and inode number."""
    about = path.stat()
    return [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]


def _read(file: Path) -> Dict[str, List[Any]]:
    try:
        doc = json.loads(file.read_bytes())
        files = doc["files"] if doc["schema"] == SCHEMA else {}
        return {str(path): list(entry) for path, entry in files.items() if len(entry) == 5}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}
