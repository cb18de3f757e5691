"""SMP with servers that are slow, silent, hostile or none at all: an error with a name, never a crash or a hang."""

from __future__ import annotations

import os
import threading
import tty
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.errors import (
    DeviceUnreachable,
    HostNotFound,
    LadingError,
    PortInUse,
    SmpGarbled,
    SmpRefused,
    TimedOut,
)
from lading.links.serial_port import SerialPort
from lading.links.smp import SmpLink
from lading.links.smp_transports import MOST_LINE, LineTransport
from tests.support.firmware import session, small
from tests.support.smp_server import HEADER, Board, SmpServer, answer_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER_S = 0.15


def ask(address: str) -> None:
    with session(address, answer_s=ANSWER_S) as device:
        device.status()


HOSTILE: dict[str, Callable[[bytes], Any]] = {
    "noise": lambda request: b"\xff" * 40,
    "a header cut short": lambda request: answer_to(request, {})[:5],
    "a length that is too long": lambda request: HEADER.pack(9, 0, 60000, 0, request[6], 6) + b"\xa0",
    "no CBOR": lambda request: answer_to(request, b"\xff\xff\xff"),
    "CBOR that is no map": lambda request: answer_to(request, cbor2.dumps([1, 2])),
    "CBOR that is deep": lambda request: answer_to(request, b"\x81" * 5000 + b"\x00"),
    "CBOR that is huge": lambda request: answer_to(request, b"\x5b" + b"\xff" * 8),
    "keys of another kind": lambda request: answer_to(request, cbor2.dumps({1: 2})),
    "values of another kind": lambda request: answer_to(request, {"buf_size": "x", "len": [], "off": {}, "data": 5}),
    "another group": lambda request: HEADER.pack(9, 0, 1, 77, request[6], 6) + b"\xa0",
    "an unknown error": lambda request: answer_to(request, {"err": {"group": 8, "rc": 200}}),
    "its own request": lambda request: request,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_answers_that_are_none_have_a_name_and_exit_status_3(kind: str) -> None:
    with (
        SmpServer(lambda _group, _command, _body, request: HOSTILE[kind](request)) as server,
        pytest.raises(SmpGarbled) as error,
    ):
        ask(server.address)
    assert error.value.exit_status == 3
    assert error.value.remedy


def test_late_and_repeated_answers_are_passed_over() -> None:
    board = Board()
    before: list[bytes] = []

    def reply(group: int, command: int, body: dict[str, Any], request: bytes) -> Any:
        good = answer_to(request, board.reply(group, command, body, request))
        answers = [*before, good, good]
        before[:] = [good]
        return answers

    with SmpServer(reply) as server, session(server.address, answer_s=1.0) as device:
        assert device.push(small("1.0.0")).release == device.releases()["current"]


def test_hostile_pieces_of_files_are_refused() -> None:
    def reply(group: int, command: int, body: dict[str, Any], request: bytes) -> Any:
        if group == 8 and command == 0:
            return {"off": body["off"] + 1, "data": b"x" * 50, "len": 400}
        return {"rc": 8}

    with SmpServer(reply) as server, pytest.raises(SmpGarbled, match="another part"):
        ask(server.address)


def test_a_refusal_says_what_was_refused_and_why() -> None:
    def reply(group: int, command: int, body: dict[str, Any], request: bytes) -> Any:
        return {"rc": 11} if group == 8 else {"rc": 8}

    with SmpServer(reply) as server, pytest.raises(SmpRefused, match="EACCESSDENIED") as error:
        ask(server.address)
    assert (error.value.exit_status, error.value.reason) == (1, "EACCESSDENIED")


def test_silence() -> None:
    with SmpServer(lambda *_: None) as server, pytest.raises(TimedOut) as error:
        ask(server.address)
    assert error.value.exit_status == 3


def test_no_such_host() -> None:
    with pytest.raises(HostNotFound):
        ask("udp+smp://no-such-host.invalid")


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    board, computer = os.openpty()
    tty.setraw(computer)
    yield board, os.ttyname(computer)
    for fd in (board, computer):
        try:
            os.close(fd)
        except OSError:
            continue


def test_a_port_that_never_stops_talking_is_no_hang(pty: tuple[int, str]) -> None:
    board, path = pty
    done = threading.Event()

    def talk() -> None:
        os.set_blocking(board, False)
        while not done.is_set():
            try:
                os.write(board, b"\x06\x09" + b"A" * 300 + b"booting ...\r\n\x04\x14")
            except BlockingIOError:
                done.wait(0.001)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        with pytest.raises(SmpGarbled):
            ask(f"serial+smp://{path}")
    finally:
        done.set()
        thread.join()


def test_a_port_that_is_gone_or_taken_has_a_name(pty: tuple[int, str]) -> None:
    board, path = pty
    with pytest.raises(DeviceUnreachable, match="there is no port"):
        ask("serial+smp:///dev/ttyNONE")
    taken = SerialPort(path, "other")
    with pytest.raises(PortInUse):
        ask(f"serial+smp://{path}")
    taken.close()
    os.close(board)
    with pytest.raises(DeviceUnreachable):
        ask(f"serial+smp://{path}")


class Bytes:
    """A port that gives bytes and takes everything."""

    description = "bytes"

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.closed = False

    def read(self, limit: int, timeout_s: float) -> bytes:
        piece, self.data = self.data[:limit], self.data[limit:]
        return piece

    def write(self, data: bytes) -> None:
        """Anything."""

    def close(self) -> None:
        self.closed = True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([b"\x06\x09", b"\x04\x14", b"\n", b"AAAA", b"\x06", b"=", b"x" * 700]) | st.binary()))
def test_no_bytes_on_the_line_crash_or_fill_the_memory(pieces: list[bytes]) -> None:
    port = Bytes(b"".join(pieces))
    transport = LineTransport(port)  # type: ignore[arg-type]
    with pytest.raises(LadingError) as error:
        SmpLink(transport, "bytes", "", answer_s=0.01)
    assert isinstance(error.value, TimedOut | SmpGarbled)
    assert len(transport._pending) <= 2 * MOST_LINE
    assert port.closed


def test_the_lengths_of_messages_are_bounded_whatever_the_server_says() -> None:
    for size in (0, 1, 2**31, 2**63):
        board = Board()

        def reply(
            group: int, command: int, body: dict[str, Any], request: bytes, size: int = size, board: Board = board
        ) -> Any:
            if (group, command) == (0, 6):
                return {"buf_size": size, "buf_count": 2**40}
            return board.reply(group, command, body, request)

        with SmpServer(reply) as server:
            with session(server.address, answer_s=1.0, root="/a") as device:
                assert device.push(small("1.0.0")).sent_blobs == 1
            if size < 2:
                deep = f"/{'a' * 40}"
                with (
                    session(server.address, answer_s=1.0, root=deep) as device,
                    pytest.raises(SmpRefused, match="longer than"),
                ):
                    device.push(small("1.0.0"))
