"""Where models lie that a guest names by path: only inside directories that somebody opened for it.

Some hosts take the name in ``load_by_name`` for a path on the machine, past every sandbox. Here such a path is looked
up in the folder that was given for it and in the directories that are opened for the guest, and nowhere else: links
and ``..`` that lead out of them lead nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Iterator, List, Optional, Tuple

if TYPE_CHECKING:
    from lading_agent.runs.spec import DirSpec


class Places:
    """The directories in which models may be named by path."""

    def __init__(self, folder: str, dirs: Tuple[DirSpec, ...]) -> None:
        """Take the places of a run.

        Args:
            folder: the folder for models by path, which relative paths begin in; empty when there is none.
            dirs: the directories that are opened for the guest.
        """
        self._folder = Path(folder) if folder else None
        self._dirs = dirs

    def find(self, path: bytes) -> Optional[Path]:
        """The regular file of that path, or ``None``."""
        try:
            name = path.decode("utf-8")
        except UnicodeDecodeError:
            return None
        if not name or "\0" in name:
            return None
        for root, inside in self._ways(name):
            try:
                real = Path(os.path.realpath(root))
                found = Path(os.path.realpath(real / inside))
                if real in found.parents and found.is_file():
                    return found
            except (OSError, ValueError):
                continue
        return None

    def _ways(self, name: str) -> Iterator[Tuple[Path, str]]:
        """Each place with the path inside it that the name may stand for."""
        if not name.startswith("/"):
            if self._folder is not None:
                yield self._folder, name
            for opened in self._dirs:
                if opened.guest in (".", "./"):
                    yield Path(opened.host), name
        wanted = _parts(name)
        known = [(self._folder, str(self._folder.absolute()))] if self._folder is not None else []
        for opened in self._dirs:
            root = Path(opened.host)
            known += [(root, opened.guest), (root, str(root.absolute()))]
        for root, called in known:
            parts = _parts(called)
            if parts and wanted[: len(parts)] == parts and len(wanted) > len(parts):
                yield root, "/".join(wanted[len(parts) :])


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
