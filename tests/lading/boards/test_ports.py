"""Ports of this machine, and servers that say hello late or never."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from lading.boards.ports import Overheard, choose, wait_for_banner

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def saying(*words: bytes) -> Iterator[int]:
    """A server that says something else to each client; to those after the last it says the last."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        ended = threading.Event()

        def serve() -> None:
            number = 0
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    client, _ = server.accept()
                    with client:
                        client.sendall(words[min(number, len(words) - 1)])
                    number += 1

        thread = threading.Thread(target=serve)
        thread.start()
        port = int(server.getsockname()[1])
        yield port
        ended.set()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
        thread.join(30)


def test_ports_are_free_and_different() -> None:
    found = choose(8)
    assert len(set(found)) == 8
    for port in found:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))


def test_the_ports_of_last_time_are_taken_again_where_they_are_free() -> None:
    first, second = choose(2)
    assert choose(2, (first, second)) == [first, second]
    with socket.socket() as other:
        other.bind(("127.0.0.1", first))
        other.listen(1)
        again = choose(2, (first, second))
    assert again[0] != first
    assert again[1] == second


def test_only_the_servers_own_words_count() -> None:
    with saying(b"", b"no", b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        assert wait_for_banner(port, 60, lambda: True)


def test_waiting_ends_with_the_machine_and_with_patience() -> None:
    (port,) = choose(1)
    calls: list[int] = []
    assert not wait_for_banner(port, 60, lambda: len(calls) < 3, meanwhile=lambda: calls.append(1))
    assert len(calls) == 3
    assert not wait_for_banner(port, 0.3, lambda: True)


def test_the_end_of_what_a_console_says_is_kept() -> None:
    with saying(b"booting\r\nKernel panic\r\n") as port:
        heard = Overheard(port)
        try:
            while "panic" not in heard.said:
                heard.listen()
        finally:
            heard.close()
    assert heard.said == "booting\nKernel panic\n"
