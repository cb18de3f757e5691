"""Files that guests write: found by the path that the guest gave them, and never anything outside."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Iterable, List, Tuple

from lading_agent.errors import AgentError

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout

MAX_PATH = 4096
MAX_LINKS = 16


def open_state_file(layout: Layout, app: str, guests: Iterable[str], path: str) -> Tuple[BinaryIO, int]:
    """Open a regular file of an app's state directories.

    Args:
        layout: the store's paths.
        app: the app.
        guests: the guest names of its state directories.
        path: the file as the guest names it; relative means relative to the only state directory.

    Returns:
        The file and its size in octets.

    Raises:
        AgentError: ``no-such-file``. A symlink or ``..`` that leads out of the directory is one of the reasons.
    """
    if not path or len(path.encode("utf-8", "replace")) > MAX_PATH or "\0" in path:
        raise AgentError("no-such-file", "that is not a path", "give the path that the guest wrote to")
    guest, rest = _mount(list(guests), path)
    root = layout.state(app, guest)
    if not root.is_dir():
        raise AgentError("no-such-file", f"{app} has not written to {guest} yet", "run the app first")
    fd = _open_below(str(root), rest, path)
    info = os.fstat(fd)
    if stat.S_ISDIR(info.st_mode):
        names = sorted(os.listdir(fd))[:100]  # noqa: PTH208  a descriptor has no path
        os.close(fd)
        raise AgentError(
            "no-such-file", f"{path} is a directory", f"it holds: {', '.join(names) or 'nothing'}", {"entries": names}
        )
    if not stat.S_ISREG(info.st_mode):
        os.close(fd)
        raise AgentError("no-such-file", f"{path} is not a regular file", "fetch a regular file")
    os.set_blocking(fd, True)
    return os.fdopen(fd, "rb", 0), info.st_size


def _mount(guests: List[str], path: str) -> Tuple[str, List[str]]:
    """The state directory that a path is in, and the parts below it."""
    for guest in sorted(guests, key=len, reverse=True):
        base = guest.rstrip("/")
        if path == guest or path.startswith(base + "/"):
            return guest, path[len(base) :].split("/")
    if not path.startswith("/") and len(guests) == 1:
        return guests[0], path.split("/")
    known = ", ".join(guests) or "none"
    raise AgentError(
        "no-such-file",
        f"{path} is in no state directory of the app",
        f"state directories: {known} (they are declared by [[state]] in lading.toml)",
    )


def _open_below(root: str, parts: List[str], shown: str) -> int:
    """Open what ``parts`` lead to, symlinks included as long as they stay below ``root``. One step at a time, each
    from the directory before it, so that a guest that swaps names meanwhile gains nothing."""
    todo = [part for part in reversed(parts) if part not in ("", ".")]
    stack = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)]
    links = 0
    try:
        while todo:
            part = todo.pop()
            if part == "..":
                if len(stack) == 1:
                    raise _outside(shown)
                os.close(stack.pop())
                continue
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            try:
                info = os.stat(part, dir_fd=stack[-1], follow_symlinks=False)
                if stat.S_ISLNK(info.st_mode):
                    links += 1
                    to = os.readlink(part, dir_fd=stack[-1])
                    if to.startswith("/") or links > MAX_LINKS:
                        raise _outside(shown)
                    todo.extend(step for step in reversed(to.split("/")) if step not in ("", "."))
                    continue
                if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
                    raise AgentError("no-such-file", f"{shown} is not a regular file", "fetch a regular file")
                stack.append(os.open(part, flags, dir_fd=stack[-1]))
            except OSError as error:
                raise AgentError(
                    "no-such-file", f"{shown}: {error.strerror}", "see which files the app writes, and under what name"
                ) from None
        return os.dup(stack[-1])
    finally:
        for fd in stack:
            os.close(fd)


def _outside(shown: str) -> AgentError:
    return AgentError(
        "no-such-file", f"{shown} leads out of the app's state directory", "fetch a file inside of a state directory"
    )
