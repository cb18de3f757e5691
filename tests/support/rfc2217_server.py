"""A serial port server (RFC 2217): ``python -m tests.support.rfc2217_server TERMINAL`` prints its port.

With pyserial's own server side. ``--fastest N``: it refuses higher speeds, as a port that does not have them.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import sys
import threading
from typing import Any

import serial
from serial.rfc2217 import PortManager

_Serial: Any = serial.Serial
_Manager: Any = PortManager


class Terminal(_Serial):  # type: ignore[misc]
    """A pseudo terminal as a serial port: it has no modem lines."""

    cts = dsr = ri = cd = False
    fastest = 0

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    @property
    def baudrate(self) -> int:
        return int(_Serial.baudrate.fget(self))

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        if self.fastest and baud > self.fastest:
            raise ValueError(f"{baud} baud is too fast")
        _Serial.baudrate.fset(self, baud)


class Connection:
    """Writes of two threads to one client."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.writing = threading.Lock()

    def write(self, data: bytes) -> None:
        with self.writing:
            self.client.sendall(data)


def serve(terminal: Any, client: socket.socket) -> None:
    """Carry one client's bytes until it leaves."""
    connection = Connection(client)
    manager = _Manager(terminal, connection)
    over = threading.Event()

    def reader() -> None:
        with contextlib.suppress(OSError):
            while not over.is_set():
                data = terminal.read(max(1, terminal.in_waiting))
                if data:
                    connection.write(b"".join(manager.escape(data)))

    thread = threading.Thread(target=reader, daemon=True)
    thread.start()
    with contextlib.suppress(OSError):
        while data := client.recv(4096):
            terminal.write(b"".join(manager.filter(data)))
    over.set()
    thread.join()


def main() -> None:
    """Serve one client after the other, for ever."""
    parser = argparse.ArgumentParser()
    parser.add_argument("terminal")
    parser.add_argument("--fastest", type=int, default=0)
    options = parser.parse_args()
    server = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{server.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        terminal = Terminal(options.terminal, timeout=0.05)
        terminal.fastest = options.fastest
        with client, terminal:
            serve(terminal, client)


if __name__ == "__main__":
    main()
