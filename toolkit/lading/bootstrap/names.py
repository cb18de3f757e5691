"""The names of what devices get, remembered as long as no file that it is made of changes.

To make them means to read every firmware profile and the whole agent, a fifth of a second at every verb. They are kept
in the user's cache by a fingerprint of all those files: path, size, time of the last change, and inode number.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lading
import lading_agent
from lading import __version__, datafiles
from lading.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE: Final = "cargo.json"
MOST: Final = 16
"""How many are remembered: each project with files of its own has another one."""
KINDS: Final = ("firmware_profiles", "engines")
RUNNERS: Final = Path(lading_agent.__file__).resolve().parent.parent / "lading_runner" / "bin"
_KNOWN: Final = Remembered(FILE, "known", MOST)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_READY: Final = re.compile(r"[0-9a-f]{16}")


def fingerprint(project_dir: Path | None = None) -> str:
    """What changes when anything does that cargo is made of.

    Args:
        project_dir: the project whose files count as well.
    """
    seen = hashlib.sha256(__version__.encode())
    for path, about in _files(project_dir):
        seen.update(f"\0{path}\0{about.st_size} {about.st_mtime_ns} {about.st_ino}".encode("utf-8", "surrogateescape"))
    return seen.hexdigest()


def recall(fingerprint: str) -> tuple[str, str] | None:
    """The agent's digest and the name of everything, for that fingerprint; None where nothing is remembered."""
    found = _KNOWN.get(fingerprint)
    if not isinstance(found, list) or len(found) != 2 or not all(isinstance(text, str) for text in found):
        return None
    digest, ready = found
    return (digest, ready) if _DIGEST.fullmatch(digest) and _READY.fullmatch(ready) else None


def remember(fingerprint: str, digest: str, ready: str) -> None:
    """Remember them; a cache that cannot be written is no error."""
    _KNOWN.put(fingerprint, [digest, ready])


def _files(project_dir: Path | None) -> Iterator[tuple[str, os.stat_result]]:
    for module in (lading, lading_agent):
        assert module.__file__ is not None
        yield from _below(os.path.dirname(module.__file__))  # noqa: PTH120  hundreds of files: text is faster
    for kind in KINDS:
        for layer in datafiles.layers(kind, project_dir).values():
            for file in layer.values():
                yield str(file.path), file.path.stat()
    yield from _below(str(RUNNERS), suffix="")


def _below(folder: str, suffix: str = ".py") -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _below(entry.path, suffix)
        elif entry.name.endswith(suffix):
            yield entry.path, entry.stat()
