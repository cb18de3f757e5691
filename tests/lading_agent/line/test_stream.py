from __future__ import annotations

import random
import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from lading_agent.line.endpoint import LineSettings
from lading_agent.line.stream import LineClosed, LineStream

if TYPE_CHECKING:
    from collections.abc import Iterator


class SocketPort:
    """One end of a socket pair; may lose some bytes."""

    def __init__(self, end: socket.socket, lost: float = 0.0, seed: int = 0) -> None:
        self.end = end
        self.lost = lost
        self.chance = random.Random(seed)
        self.written = 0

    def read(self, limit: int, timeout_s: float) -> bytes:
        if not select.select([self.end], [], [], timeout_s)[0]:
            return b""
        data = self.end.recv(limit)
        if not data:
            raise ConnectionResetError(104, "the other end is gone")
        return data

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if self.lost:
            data = bytes(byte for byte in data if self.chance.random() >= self.lost)
        self.end.sendall(data)


class Pair:
    def __init__(self, lost: float = 0.0, settings: LineSettings | None = None) -> None:
        a, b = socket.socketpair()
        self.ports = SocketPort(a, lost, 1), SocketPort(b, lost, 2)
        self.client = LineStream(self.ports[0], opens=True, settings=settings)
        self.device = LineStream(self.ports[1], opens=False, settings=settings)

    def close(self) -> None:
        self.client.close()
        self.device.close()
        for port in self.ports:
            port.end.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair()
    assert pair.client.wait_open(20)
    yield pair
    pair.close()


def read_all(stream: LineStream) -> bytes:
    parts = []
    while data := stream.read(5000):
        parts.append(data)
    return b"".join(parts)


def carried(stream: LineStream, other: LineStream, data: bytes) -> bytes:
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(read_all(other)))
    reader.start()
    stream.write(data)
    assert stream.finish(60)
    reader.join(60)
    return got[0]


def test_both_directions_at_once_and_both_ends(pair: Pair) -> None:
    data = random.Random(1).randbytes(400_000)
    got: list[bytes] = []
    there = threading.Thread(target=lambda: got.append(carried(pair.client, pair.device, data)))
    there.start()
    back = carried(pair.device, pair.client, data[::-1])
    there.join()
    assert got == [data]
    assert back == data[::-1]


def test_what_compresses_is_compressed(pair: Pair) -> None:
    assert carried(pair.client, pair.device, b"weights " * 50_000) == b"weights " * 50_000
    assert pair.ports[0].written < 20_000


def test_what_does_not_compress_costs_little_more(pair: Pair) -> None:
    data = random.Random(2).randbytes(300_000)
    assert carried(pair.client, pair.device, data) == data
    assert pair.ports[0].written < 1.04 * len(data)


def test_a_short_word_arrives_at_once_and_is_answered(pair: Pair) -> None:
    pair.client.write(b"hello")
    assert pair.device.read(100) == b"hello"
    pair.device.write(b"and to you")
    assert pair.client.read(100) == b"and to you"


def test_bytes_get_lost_and_everything_arrives() -> None:
    pair = Pair(lost=0.001)
    assert pair.client.wait_open(20)
    data = random.Random(3).randbytes(60_000)
    assert carried(pair.client, pair.device, data) == data
    assert pair.client.repeated_bytes > 0
    pair.close()


def test_a_reader_that_rests_holds_up_the_writer_and_nothing_is_lost(pair: Pair) -> None:
    data = random.Random(4).randbytes(500_000)
    writer = threading.Thread(target=lambda: pair.client.write(data))
    writer.start()
    writer.join(0.5)
    assert writer.is_alive(), "more was taken than the window"
    got = b""
    while len(got) < len(data):
        got += pair.device.read(10_000)
    writer.join(20)
    assert got == data


def test_a_swelling_stream_is_handed_out_in_small_pieces(pair: Pair) -> None:
    pair.client.write(bytes(3_000_000))
    total = 0
    while total < 3_000_000:
        piece = pair.device.read(1000)
        assert len(piece) <= 1000
        total += len(piece)


def test_a_port_that_goes_ends_reading_and_writing_with_the_reason(pair: Pair) -> None:
    pair.ports[1].end.shutdown(socket.SHUT_RDWR)
    with pytest.raises(LineClosed, match="the port is gone"):
        pair.client.read(1)
    with pytest.raises(LineClosed):
        pair.client.write(b"x")


def test_nobody_at_the_other_end_is_told_in_time() -> None:
    a, b = socket.socketpair()
    stream = LineStream(SocketPort(a), opens=True)
    assert not stream.wait_open(0.3)
    stream.close()
    a.close()
    b.close()


def test_a_silent_line_counts_as_lost() -> None:
    pair = Pair(settings=LineSettings(dead_after_s=0.5))
    assert pair.client.wait_open(20)
    pair.device.close()
    with pytest.raises(LineClosed, match=r"nothing was heard for 0\.5 s"):
        pair.client.read(1)
    pair.close()
