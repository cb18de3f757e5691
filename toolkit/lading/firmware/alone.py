"""One client at a time changes a microcontroller, as far as this computer can see to it: SMP itself knows no lock."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import socket
import struct
import sys
from typing import TYPE_CHECKING

from lading.errors import LockHeld

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def alone(place: str, label: str) -> Iterator[None]:
    """Be the only one on this computer who changes what is at a place.

    A name in Linux's abstract socket space stands for the place: it is gone with the process, however that ends, and
    leaves no file. Elsewhere there is no such thing, and nobody is kept out.

    Args:
        place: where the device is, the same text for whoever means the same one; empty: nowhere that others could be.
        label: what messages call the device.

    Raises:
        LockHeld: another client is changing it.
    """
    if not place or sys.platform != "linux":
        yield
        return
    name = f"\0lading-{hashlib.sha256(place.encode()).hexdigest()[:32]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind(name)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise LockHeld(
                f"{label}: another lading on this computer is changing it{_holder(name)}",
                remedy="try again when it is done",
            ) from None
        lock.listen(1)
        yield


def _holder(name: str) -> str:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.settimeout(1.0)
        caller.connect(name)
        given = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return f" (process {struct.unpack('3i', given)[0]})"
    return ""
