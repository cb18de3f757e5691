"""A TCP relay on loopback that delivers everything a while later, as a long line does: ``python -m … PORT SECONDS``.

It prints the port that it listens on, and runs until its standard input ends. What is under way is not limited, so that
the line is long but not narrow.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 18


def relay(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
    """Carry what comes from one end to the other, ``delay_s`` later."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def take() -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(PIECE)
            except OSError:
                data = b""
            waiting.put((time.monotonic() + delay_s, data))

    threading.Thread(target=take, daemon=True).start()
    while True:
        due, data = waiting.get()
        time.sleep(max(0.0, due - time.monotonic()))
        try:
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)
        except OSError:
            return


def serve(port: int, delay_s: float) -> None:
    """Relay every connection to ``port``."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()

    def accept() -> None:
        while True:
            near, _ = listener.accept()
            far = socket.create_connection(("127.0.0.1", port))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for ends in ((near, far), (far, near)):
                threading.Thread(target=relay, args=(*ends, delay_s), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


@contextlib.contextmanager
def delayed(port: int, round_trip_s: float) -> Iterator[int]:
    """The port of a relay to ``port`` that adds a round trip of so many seconds, in a process of its own."""
    command = [sys.executable, "-m", "tests.support.delaying_proxy", str(port), str(round_trip_s / 2)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
