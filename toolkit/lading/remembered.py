"""Small things that the user's cache remembers by name, in one JSON file each: at most so many, the newest stay.

Whatever is wrong with such a file, it is as if nothing were remembered; one that cannot be written is no error.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading import datafiles

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA: Final = 1


@dataclass(frozen=True)
class Remembered:
    """A file of the cache."""

    file: str
    key: str
    """What the table in the file is called."""
    most: int
    """How many entries are kept."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return datafiles.user_cache_dir() / self.file

    def get(self, name: str) -> Any:
        """What is remembered of a name, as it was read: not to be trusted; None where nothing is."""
        return self._read().get(name)

    def put(self, name: str, value: Any) -> None:
        """Remember a JSON value; the file is replaced whole."""
        known = self._read()
        known.pop(name, None)
        known[name] = value
        while len(known) > self.most:
            del known[next(iter(known))]
        scratch = self.path.with_name(f".{self.file}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps({"schema": SCHEMA, self.key: known}), encoding="utf-8")
            scratch.replace(self.path)

    def _read(self) -> dict[str, Any]:
        try:
            doc = json.loads(self.path.read_bytes())
            known = doc[self.key] if doc["schema"] == SCHEMA else {}
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return {}
        return known if isinstance(known, dict) else {}
