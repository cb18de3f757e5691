"""A terminal at a board's console."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import termios
import tty
from typing import Final

LEAVE: Final = b"\x1d"
"""Ctrl-]."""
_CONNECT_S: Final = 5.0
_CHUNK: Final = 65536


def attach(host: str, port: int) -> None:
    """Carry bytes between the terminal and a console until Ctrl-] is typed or the board is gone."""
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    with socket.create_connection((host, port), timeout=_CONNECT_S) as line, selectors.DefaultSelector() as ready:
        line.settimeout(None)
        before = termios.tcgetattr(keyboard)
        try:
            tty.setraw(keyboard)
            ready.register(keyboard, selectors.EVENT_READ)
            ready.register(line, selectors.EVENT_READ)
            line.sendall(b"\r")  # a login that waits shows itself
            while True:
                for key, _ in ready.select():
                    if key.fd == keyboard:
                        typed = os.read(keyboard, _CHUNK)
                        wanted, left, _rest = typed.partition(LEAVE)
                        line.sendall(wanted)
                        if left or not typed:
                            return
                    else:
                        data = line.recv(_CHUNK)
                        if not data:
                            return
                        _write(screen, data)
        finally:
            termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
            with contextlib.suppress(OSError):
                os.write(screen, b"\r\n")


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
