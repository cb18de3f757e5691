"""Ports of this machine, and whether something answers on them."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

HERE: Final = "127.0.0.1"
_POLL_S: Final = 0.1
_LISTEN_S: Final = 1.0
_FIRST_BANNER_S: Final = 0.5
_LONGER: Final = 1.3
_LONGEST_BANNER_S: Final = 20.0
KEPT: Final = 16 * 1024


def choose(count: int, wished: tuple[int | None, ...] = ()) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on; those of last time where they are still free."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for index in range(count):
            wish = wished[index] if index < len(wished) else None
            found.append(_take(held, wish) or _take(held, None) or 0)
        return found


def _take(held: contextlib.ExitStack, port: int | None) -> int | None:
    probe = held.enter_context(socket.socket())
    # As QEMU does: connections of before that are still ending are no reason to refuse.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((HERE, port or 0))
        probe.listen(1)
    except OSError:
        return None
    return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        with socket.create_connection((HERE, port), timeout=_LISTEN_S):
            return True
    except OSError:
        return False


class Overheard:
    """What a board says on its console while nobody else listens: the end of it explains why it does not come up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._said = b""

    def listen(self) -> None:
        """Take what has come since the last call."""
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.create_connection((HERE, self._port), timeout=_LISTEN_S)
                self._socket.setblocking(False)
            while more := self._socket.recv(65536):
                self._said = (self._said + more)[-KEPT:]

    @property
    def said(self) -> str:
        """The end of what it said."""
        return self._said.decode("utf-8", "replace").replace("\r", "")

    def close(self) -> None:
        """Leave the console to others."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def wait_for_banner(
    port: int, patience_s: float, goes_on: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None
) -> bool:
    """Wait until an SSH server says hello.

    The port takes connections long before the board is up: only the server's own words count.

    Args:
        port: of 127.0.0.1.
        patience_s: how long it may take.
        goes_on: whether there is still somebody to wait for.
        meanwhile: called again and again.
    """
    until = time.monotonic() + patience_s
    wait = _FIRST_BANNER_S
    while time.monotonic() < until and goes_on():
        meanwhile()
        with contextlib.suppress(OSError), socket.create_connection((HERE, port), timeout=_LISTEN_S) as tried:
            tried.settimeout(wait)
            if tried.recv(4) == b"SSH-":
                return True
        # Each attempt costs the board a process: on a busy machine, impatience would keep it from ever answering.
        wait = min(wait * _LONGER, _LONGEST_BANNER_S)
        time.sleep(_POLL_S)
    return False
