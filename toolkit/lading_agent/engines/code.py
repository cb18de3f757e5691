"""Where the native runner keeps compiled guests: a folder for each module, named by its digest.

The runner alone writes and judges what is in such a folder. Here it is only seen to that a folder is there, and that
what nobody needs, or too much of it, goes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Container, Final, List, Optional

CODE: Final = "code"
"""The folder of compiled guests, in a cache."""
MOST_BYTES: Final = 256 * 1024 * 1024
MOST_ENTRIES: Final = 4
"""Of one module: engine, its settings and the processor each have one of their own."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class _Entry:
    path: Path
    used: float
    size: int


class CodeCache:
    """The compiled guests of one device, or of one user.

    Args:
        folder: the cache's folder; made when it is needed.
        most_bytes: how much may be kept.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def of(self, module: str) -> Optional[Path]:
        """The folder for the code of a module; None where there can be none.

        Args:
            module: ``sha256:…`` of the module's file.
        """
        match = _DIGEST.fullmatch(module)
        if match is None:
            return None
        path = self._folder / match.group(1)
        try:
            if not path.is_dir():
                self._folder.parent.mkdir(parents=True, exist_ok=True)
                for folder in (self._folder, path):
                    with contextlib.suppress(FileExistsError):
                        folder.mkdir(mode=0o700)  # the runner uses none that others may write to
            os.utime(path)
        except OSError:
            return None
        return path

    def keep(self, needed: Container[str]) -> None:
        """Drop the code of every module whose digest's hexadecimal part is not in ``needed``."""
        for path in self._modules():
            if path.name not in needed:
                shutil.rmtree(path, ignore_errors=True)

    def bound(self) -> None:
        """Drop what was used longest ago until little enough is left."""
        left = 0
        for path in sorted(self._modules(), key=_used, reverse=True):
            entries = sorted(_entries(path), key=lambda entry: entry.used, reverse=True)
            for number, entry in enumerate(entries):
                if number < MOST_ENTRIES and left + entry.size <= self._most_bytes:
                    left += entry.size
                else:
                    with contextlib.suppress(OSError):
                        entry.path.unlink()
            if not any(_entries(path)):
                with contextlib.suppress(OSError):
                    path.rmdir()

    def _modules(self) -> List[Path]:
        try:
            return [Path(entry.path) for entry in os.scandir(self._folder) if _NAME.fullmatch(entry.name)]
        except OSError:
            return []


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _entries(path: Path) -> List[_Entry]:
    found: List[_Entry] = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(path):
            with contextlib.suppress(OSError):
                about = entry.stat(follow_symlinks=False)
                found.append(_Entry(Path(entry.path), about.st_mtime, about.st_size))
    return found
