"""A device's last capability report, kept in the user's state folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading import datafiles
from lading.devices.resolve import EmulatedDevice

if TYPE_CHECKING:
    from lading.devices.resolve import Device

MOST_BYTES = 64 * 1024 * 1024


def path_of(device: Device) -> Path:
    """The file that keeps a device's report. It belongs to the address: another name for it finds the same."""
    key = f"{device.address} {device.state}" if isinstance(device, EmulatedDevice) else str(device.address)
    return datafiles.user_state_dir() / "reports" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def keep(device: Device, report: dict[str, Any], *, at: str) -> Path:
    """Keep a report in place of the one before.

    Args:
        device: whose it is.
        report: the document of ``lading probe``.
        at: when it was made, in UTC, as in ``2026-01-31T12:00:00Z``.

    Raises:
        OSError: it cannot be written.
    """
    path = path_of(device)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"address": str(device.address), "probed_at": at, "report": report}
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return path


def last(device: Device) -> tuple[str, dict[str, Any]] | None:
    """When a device was probed last, and the report; None when there is none that can be read."""
    try:
        with path_of(device).open("rb") as file:
            document = json.loads(file.read(MOST_BYTES))
        at, report = document["probed_at"], document["report"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return (at, report) if isinstance(at, str) and isinstance(report, dict) else None


def forget(device: Device) -> bool:
    """Take a device's report away; False when there was none."""
    try:
        path_of(device).unlink()
    except FileNotFoundError:
        return False
    return True
