"""The device's lock: one client changes a store at a time.

``flock(2)`` on a file whose content says who holds it and since when. The kernel lets go of it when its holder dies,
however that happens, so a stale lock does not exist; the content is only what is told to whoever comes second.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

from lading_agent.errors import AgentError

SWEEP = "start-up sweep"
GOING_BACK = "going back to an earlier release"
_BRIEF = (SWEEP, GOING_BACK)
"""What is over in no time and is waited for."""
SWEEP_PATIENCE_S = 10.0


def boot_id() -> str:
    """The running kernel's own id: another one means that the device was started anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@contextlib.contextmanager
def locked(path: Path, owner: Mapping[str, Any], purpose: str) -> Iterator[None]:
    """Hold the lock for a while.

    Args:
        path: the lock file.
        owner: the client: ``user``, ``host``, ``pid``.
        purpose: what the lock is held for, such as "push of digits".

    Raises:
        AgentError: ``lock-held``, with the holder and since when in message and details.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(fd, path)
        record = {
            "owner": {key: owner.get(key) for key in ("user", "host", "pid")},
            "agent_pid": os.getpid(),
            "purpose": purpose,
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "boot_id": boot_id(),
            "monotonic": time.monotonic(),
        }
        os.ftruncate(fd, 0)
        # On a full disk nobody is told who holds it; it is held all the same, so that room can be made.
        with contextlib.suppress(OSError):
            os.pwrite(fd, json.dumps(record).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def _take(fd: int, path: Path) -> None:
    """Take the lock; what the device does of its own accord, which is over in no time, is waited for."""
    patience = time.monotonic() + SWEEP_PATIENCE_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            record = _read(path)
            if record.get("purpose", SWEEP) not in _BRIEF or time.monotonic() > patience:
                raise _held(record) from None
            time.sleep(0.01)
        else:
            return


def holder(path: Path) -> Optional[Dict[str, Any]]:
    """Who holds the lock now; None when nobody does."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(_read(path))
    finally:
        os.close(fd)
    return None


def _read(path: Path) -> Dict[str, Any]:
    try:
        record = json.loads(path.read_bytes()[:4096])
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _describe(record: Mapping[str, Any]) -> Dict[str, Any]:
    """What others are told of a holder, with ``held_s`` from a clock that nobody sets."""
    told = {key: record.get(key) for key in ("owner", "purpose", "since")}
    monotonic = record.get("monotonic")
    same_boot = record.get("boot_id") == boot_id()
    told["held_s"] = round(time.monotonic() - monotonic, 1) if same_boot and isinstance(monotonic, float) else None
    return told


def _held(record: Mapping[str, Any]) -> AgentError:
    told = _describe(record)
    owner = told["owner"] if isinstance(told["owner"], dict) else {}
    who = f"{owner.get('user') or 'somebody'}@{owner.get('host') or 'somewhere'} (process {owner.get('pid')})"
    if not record:
        who = "another client"
    since = f" since {told['since']}" if told["since"] else ""
    doing = f", for {told['purpose']}" if told["purpose"] else ""
    return AgentError(
        "lock-held",
        f"the device is locked by {who}{since}{doing}",
        "wait until it is done; the lock frees itself when its holder ends",
        told,
    )
