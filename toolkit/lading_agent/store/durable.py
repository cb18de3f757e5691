"""File system operations that survive a power cut when they return."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
from typing import TYPE_CHECKING, Any, Callable, Final, List, Mapping, Optional

if TYPE_CHECKING:
    from pathlib import Path

MANY: Final = 8
"""From so many files on the whole file system is synced: it may have to write what others left there, too."""
SYNCFS_TELLS: Final = (5, 8)
"""Since this Linux, syncfs(2) says when something could not be written."""


def sync_dir(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_files(fds: List[int]) -> None:
    """Make the content of open files on one file system durable; of many in one go.

    A journal that is written once for all of them, and a disk's cache that is emptied once, are the difference on the
    storage of boards: with one of each for every file, that took longer than everything else.

    Args:
        fds: the files, in the order in which they were opened.
    """
    syncfs = _syncfs() if len(fds) >= MANY else None
    if syncfs is None:
        for fd in fds:
            os.fsync(fd)
    elif syncfs(fds[0]):  # tells of what went wrong since that file was opened, the first of all
        code = _errno()
        raise OSError(code, os.strerror(code))


@functools.cache
def _syncfs() -> Optional[Callable[[int], int]]:
    """syncfs(2), where it can be called and tells of errors."""
    numbers = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < SYNCFS_TELLS:
        return None
    try:
        import ctypes

        found: Callable[[int], int] = ctypes.CDLL(None, use_errno=True).syncfs
    except (ImportError, OSError, AttributeError):
        return None
    return found


def _errno() -> int:
    import ctypes

    return ctypes.get_errno()


def make_dirs(path: Path) -> None:
    """Make a directory and its parents; each new name is durable."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_dirs(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o755)
    sync_dir(path.parent)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and sync its content (not its name)."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, scratch: Path) -> None:
    """Replace a file's content so that a reader sees the old one or the new one, and the new one is durable.

    Args:
        path: the file.
        data: its new content.
        scratch: a name on the same file system that nobody else uses.
    """
    try:
        write_file(scratch, data)
    except OSError:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
    make_way(path, scratch.with_name(f"{scratch.name}-way"))
    scratch.rename(path)
    sync_dir(path.parent)


def replace_json(path: Path, doc: Mapping[str, Any], scratch: Path) -> None:
    """As :func:`replace_file`, with a JSON document."""
    replace_file(path, json.dumps(doc, sort_keys=True, separators=(",", ":")).encode(), scratch)


def remove_tree(path: Path, scratch: Path) -> None:
    """Remove a directory so that nobody ever sees half of it: it leaves by rename first."""
    path.rename(scratch)
    sync_dir(path.parent)
    shutil.rmtree(scratch, ignore_errors=True)


def make_way(path: Path, scratch: Path) -> None:
    """Move a directory that stands where a file or a link belongs, which no rename could replace."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path, scratch)


def remove_any(path: Path) -> None:
    """Remove whatever is there, if anything is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
