"""One user of a real device at a time, whichever worker or test run they belong to."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from typing import TYPE_CHECKING, Final

from lading import datafiles

if TYPE_CHECKING:
    from lading.devices import Device

POLL_S: Final = 0.05


class InUse(Exception):
    """Somebody else has had the device all the time."""


def is_shared(device: Device) -> bool:
    """Whether others on this machine may reach the same device; an emulated one is each worker's own."""
    from lading.devices import EmulatedDevice

    return not isinstance(device, EmulatedDevice)


class DeviceLock:
    """A lock on a device, by its address; it ends with the process at the latest."""

    def __init__(self, device: Device) -> None:
        self._device = device
        folder = datafiles.user_state_dir() / "pytest-locks"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / hashlib.sha256(str(device.address).encode()).hexdigest()[:16]
        self._fd = -1

    def acquire(self, patience_s: float) -> None:
        """Wait for it.

        Raises:
            InUse: it was not to be had in that time; says whose it is.
        """
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        late = time.monotonic() + patience_s
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() >= late:
                holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
                os.close(fd)
                raise InUse(
                    f"lading: {self._device} has been used by another test run (process {holder or '?'}) for "
                    f"{patience_s:g} s\n  remedy: end that one, or set lading_lock_timeout"
                )
            time.sleep(POLL_S)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Let go of it, if it was had."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
