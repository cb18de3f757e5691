"""Room on the device: octets and inodes, counted before anything is sent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from lading_agent.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

SLACK_BYTES = 256 * 1024
"""What file system and bookkeeping take beside the content."""
SLACK_INODES = 16


@dataclass(frozen=True)
class Room:
    """What a home may still take. ``None``: no limit is known."""

    free_bytes: int
    free_inodes: Optional[int]
    quota_left: Optional[int]


def measure(home: Path, quota: Optional[int]) -> Room:
    """Ask the file system, and count against the target's storage.

    Args:
        home: the agent's home.
        quota: octets that the target's storage holds.
    """
    vfs = os.statvfs(home)
    inodes = vfs.f_favail if vfs.f_files > 0 else None
    left = None if quota is None else quota - disk_use(home)
    return Room(vfs.f_bavail * vfs.f_frsize, inodes, left)


def disk_use(path: Path) -> int:
    """Octets of storage that everything below ``path`` takes; a file with several names counts once."""
    total = 0
    seen = set()
    stack = [str(path)]
    while stack:
        try:
            entries = list(os.scandir(stack.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if info.st_nlink > 1 and not entry.is_dir(follow_symlinks=False):
                if info.st_ino in seen:
                    continue
                seen.add(info.st_ino)
            total += info.st_blocks * 512
            if entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)
    return total


def require(room: Room, need_bytes: int, need_inodes: int, wants: str = "the release needs") -> None:
    """Refuse what does not fit.

    Args:
        room: what is left.
        need_bytes: octets that come.
        need_inodes: names that come.
        wants: who needs it, for the message.

    Raises:
        AgentError: ``no-space``, with what is needed, there and missing.
    """
    wanted = need_bytes + SLACK_BYTES if need_bytes else 0
    free = room.free_bytes if room.quota_left is None else max(0, min(room.free_bytes, room.quota_left))
    if wanted > free:
        whose = "the target's storage" if room.quota_left is not None and room.quota_left == free else "the device"
        raise AgentError(
            "no-space",
            f"{whose} has {free} bytes left, {wants} {wanted}: {wanted - free} bytes are missing",
            "remove old releases (lading gc) or files on the device, or make the app smaller",
            {"needed_bytes": wanted, "free_bytes": free, "missing_bytes": wanted - free},
        )
    names = need_inodes + SLACK_INODES
    if room.free_inodes is not None and names > room.free_inodes:
        raise AgentError(
            "no-space",
            f"the device has {room.free_inodes} inodes left, {wants} {names}: {names - room.free_inodes} are missing",
            "remove files on the device, or ship fewer",
            {"needed_inodes": names, "free_inodes": room.free_inodes, "missing_inodes": names - room.free_inodes},
        )
