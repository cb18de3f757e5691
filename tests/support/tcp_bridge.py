"""A terminal's bytes on a TCP port of this machine: ``python -m tests.support.tcp_bridge TERMINAL`` prints the port."""

from __future__ import annotations

import os
import select
import socket
import sys
import tty


def main() -> None:
    """Serve one client after the other, for ever."""
    terminal = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
    tty.setraw(terminal)
    server = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{server.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        client, _ = server.accept()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            while True:
                ready: list[object] = list(select.select([client.fileno(), terminal], [], [])[0])
                if client.fileno() in ready:
                    data = client.recv(4096)
                    if not data:
                        break
                    os.write(terminal, data)
                if terminal in ready:
                    client.sendall(os.read(terminal, 4096))


if __name__ == "__main__":
    main()
