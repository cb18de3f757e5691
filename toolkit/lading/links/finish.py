"""Commands that are run to their end."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Final

from lading.errors import DeviceError, LinkLost, TimedOut
from lading.links.host import Finished

if TYPE_CHECKING:
    from lading.links.host import CommandLink

SLOWEST: Final = 8 * 1024
"""Bytes a second of the slowest line that is waited for."""
MOST_OUTPUT: Final = 64 * 1024 * 1024
UNKNOWN_STATUS: Final = 255


def finish(link: CommandLink, stdin: bytes, timeout_s: float) -> Finished:
    """Feed a command and read it to its end; then the link is closed.

    Args:
        link: the command.
        stdin: all of its input.
        timeout_s: how long it may take; what ``stdin`` needs on a slow line is added.

    Raises:
        TimedOut: the time is over.
        LinkLost: the connection broke.
        DeviceError: it says more than anybody wants to keep.
    """
    patience = timeout_s + len(stdin) / SLOWEST
    reader = _Reader(link)
    feeder = threading.Thread(target=_feed, args=(link, stdin), name="command-input", daemon=True)
    feeder.start()
    reader.start()
    try:
        reader.join(patience)
        if reader.is_alive():
            raise TimedOut(
                f"{link.description}: a command took longer than {patience:.0f} s",
                remedy="see whether the device is overloaded, and try again",
            )
        if reader.too_much:
            raise DeviceError(f"{link.description}: a command said more than {MOST_OUTPUT} bytes")
        if reader.failure is not None:
            raise LinkLost(
                f"{link.description}: the connection broke: {reader.failure.strerror or reader.failure}",
                remedy="try again",
            ) from reader.failure
        status = link.exit_status()
        return Finished(UNKNOWN_STATUS if status is None else status, bytes(reader.output), link.errors())
    finally:
        link.abandon()
        feeder.join(5.0)


def _feed(link: CommandLink, stdin: bytes) -> None:
    # A command that wants no input, or no more, is free to end.
    with contextlib.suppress(OSError):
        if stdin:
            link.write(stdin)
        link.end_input()


class _Reader(threading.Thread):
    def __init__(self, link: CommandLink) -> None:
        super().__init__(name="command-output", daemon=True)
        self._link = link
        self.output = bytearray()
        self.failure: OSError | None = None
        self.too_much = False

    def run(self) -> None:
        try:
            while data := self._link.read(1 << 18):
                self.output += data
                if len(self.output) > MOST_OUTPUT:
                    self.too_much = True
                    return
        except OSError as error:
            self.failure = error
