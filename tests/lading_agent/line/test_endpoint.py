from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_agent.line.endpoint import Endpoint, LineSettings, leave_frame
from lading_agent.line.frames import ACK, DATA, OPEN, LineFrame
from tests.support.bad_line import Direction, transfer

SMALL = LineSettings(deflate=False, window=8192)


def ways(seed: int = 1, **faults: float) -> tuple[Direction, Direction]:
    return Direction(seed, **faults), Direction(seed + 1000, **faults)  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(0, 9000),
    st.integers(0, 9000),
    st.sampled_from([0.0, 1e-5, 1e-4]),
    st.sampled_from([0.0, 1e-4, 2e-3]),
    st.sampled_from([0.0, 1e-3]),
    st.sampled_from([0.0, 0.003, 0.2]),
)
def test_every_byte_arrives_in_order_whatever_the_line_does(
    seed: int, there: int, back: int, flips: float, lost: float, repeated: float, delay: float
) -> None:
    chance = random.Random(seed)
    sent, answered = chance.randbytes(there), chance.randbytes(back)
    done = transfer(
        sent, answered, ways(seed, bit_errors=flips, lost_bytes=lost, repeated_bytes=repeated, delay_s=delay), SMALL
    )
    assert done.client.lost is None
    assert done.device.lost is None
    assert done.there == sent
    assert done.back == answered


def test_a_clean_line_carries_little_besides_the_data() -> None:
    data = random.Random(1).randbytes(100_000)
    lines = ways()
    done = transfer(data, b"", lines)
    assert done.there == data
    assert done.client.sender.repeated_bytes == 0
    assert lines[0].carried < 1.02 * len(data)


def test_frames_become_short_on_a_line_that_loses_bytes_and_long_on_a_good_one() -> None:
    data = random.Random(2).randbytes(60_000)
    assert transfer(data, b"", ways()).client.sender.pace.frame == 2048
    assert transfer(data, b"", ways(lost_bytes=1e-3)).client.sender.pace.frame < 300


def test_a_line_that_is_cut_is_lost_at_both_ends_and_not_waited_for_for_ever() -> None:
    lines = (Direction(1, cut_after=5000), Direction(2, cut_after=700))
    done = transfer(random.Random(3).randbytes(20_000), b"", lines, most_s=100.0)
    assert done.client.lost == "nothing was heard for 25 s"
    assert done.seconds < 60


def test_kernel_messages_in_the_middle_of_the_stream_do_no_harm() -> None:
    chance = random.Random(4)
    message = b"\r\n[   12.345678] usb 1-1: new high-speed USB device number 3 using xhci_hcd\r\n"
    data = chance.randbytes(30_000)
    done = transfer(b"", data, ways(), console=lambda _now: message if chance.random() < 0.02 else b"")
    assert done.back == data


def open_pair() -> tuple[Endpoint, Endpoint]:
    client = Endpoint(opens=True, settings=SMALL, now=0.0, session=b"12345678")
    device = Endpoint(opens=False, settings=SMALL, now=0.0)
    device.feed(client.next_output(0.0), 0.0)
    client.feed(device.next_output(0.0), 0.0)
    assert client.is_open
    assert device.is_open
    return client, device


def test_a_second_client_ends_the_session_of_the_first() -> None:
    _, device = open_pair()
    second = Endpoint(opens=True, settings=SMALL, now=1.0, session=b"abcdefgh")
    device.feed(second.next_output(1.0), 1.0)
    assert device.lost == "another client opened a session on this line"
    assert device.next_session is not None
    fresh = Endpoint(opens=False, settings=SMALL, now=1.0)
    fresh.feed(device.next_session.encode(), 1.0)
    second.feed(fresh.next_output(1.0), 1.0)
    assert second.is_open


def test_frames_of_an_earlier_session_are_not_taken_for_this_ones() -> None:
    client, _ = open_pair()
    for tag in range(256):
        if tag != client._other_tag:
            client.feed(LineFrame(DATA, tag, 1, 0, b"old").encode(), 0.1)
    assert client.receiver.readable == 0


def test_an_echo_of_what_an_end_said_is_not_taken_for_the_other_ends_word() -> None:
    client, device = open_pair()
    for end in (client, device):
        end.sender.write(b"mine")
        said = b"".join(iter(lambda end=end: end.next_output(0.1), b""))  # type: ignore[misc]
        assert b"mine" in said
        end.feed(said * 2, 0.1)
        assert end.receiver.readable == 0
        assert end.lost is None


def test_whoever_listens_hears_that_the_line_is_wanted_back() -> None:
    _, device = open_pair()
    device.feed(b"noise" + leave_frame(), 0.1)
    assert device.left
    idle = Endpoint(opens=False, settings=SMALL, now=0.0)
    idle.feed(leave_frame(), 0.1)
    assert idle.left


def test_another_version_is_refused_by_name() -> None:
    device = Endpoint(opens=False, settings=SMALL, now=0.0)
    opening = Endpoint(opens=True, settings=SMALL, now=0.0).next_output(0.0)
    payload = bytes([9]) + opening[15:-4]
    device.feed(LineFrame(OPEN, 0, 0, 0, payload).encode(), 0.0)
    assert device.lost is not None
    assert "version 9" in device.lost


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([DATA, ACK]),
            st.integers(0, 2**32 - 1) | st.integers(0, 20_000) | st.integers(2**32 - 9000, 2**32 - 1),
            st.integers(0, 65535),
            st.binary(max_size=2048) | st.integers(0, 40).map(bytes),
        ),
        max_size=30,
    )
)
def test_no_frames_of_a_hostile_end_crash_the_other_or_make_it_hold_more_than_its_window(
    frames: list[tuple[int, int, int, bytes]],
) -> None:
    client, _ = open_pair()
    client.sender.write(bytes(5000))
    now = 1.0
    for kind, number, turn, payload in frames:
        client.feed(LineFrame(kind, client._other_tag, turn, number, payload).encode(), now)
        now += 0.01
        for _ in range(50):
            if not client.next_output(now):
                break
        receiver = client.receiver
        held = receiver.readable + sum(len(piece[2]) for piece in receiver._pieces)
        assert held <= SMALL.window
        assert client.sender.queued <= 5000


@pytest.mark.parametrize("size", [0, 1, 2047, 2048, 2049, 65_535, 65_536, 65_537])
def test_streams_of_every_awkward_length_end_where_they_should(size: int) -> None:
    data = random.Random(size).randbytes(size)
    lines = ways(rate=10**6)
    assert transfer(data, data[:100], lines).there == data
