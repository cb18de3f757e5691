"""Sending never runs further ahead of the device than a break may cost, and never waits for a word that nobody says."""

from __future__ import annotations

from collections import deque

from hypothesis import example, given
from hypothesis import strategies as st

from lading.client.pace import AHEAD, Pace
from lading.client.sending import FIRST

FRAME = 256 * 1024


class Line:
    """A device at the end of a line: octets a second, seconds there and back, and its word every so many octets."""

    def __init__(self, speed: float, way_s: float, every: int = 256 * 1024) -> None:
        self.now = 0.0
        self.speed, self.way_s, self.every = speed, way_s, every
        self.pace = Pace(lambda: self.now)
        self.words: deque[tuple[float, int]] = deque()
        self.free_at = 0.0
        self.sent = self.told = 0
        self.most_waiting = 0

    def send(self, octets: int) -> None:
        """Send, after waiting for as long as it takes."""
        while not self.pace.may_send(octets):
            assert self.words, "both sides wait"
            at, total = self.words.popleft()
            self.now = max(self.now, at)
            self.pace.took(total, self.now)
        self.pace.sending(octets)
        self.sent += octets
        begin = max(self.free_at, self.now + self.way_s / 2)
        self.free_at = begin + octets / self.speed
        self.most_waiting = max(self.most_waiting, int((self.free_at - self.now - self.way_s / 2) * self.speed))
        if self.sent - self.told >= self.every or not self.told:
            self.told = self.sent
            self.words.append((self.free_at + self.way_s / 2, self.sent))


@given(
    speed=st.floats(1e4, 1e9), way_s=st.floats(0, 2), sizes=st.lists(st.integers(1, FRAME), min_size=1, max_size=200)
)
def test_nobody_waits_for_ever(speed: float, way_s: float, sizes: list[int]) -> None:
    line = Line(speed, way_s)
    for size in sizes:
        line.send(size)
    assert line.sent == sum(sizes)


@given(st.floats(1e5, 1e9), st.floats(0, 0.5))
@example(1083240.0, 0.125)
def test_what_waits_at_the_device_is_bounded(speed: float, way_s: float) -> None:
    line = Line(speed, way_s)
    line.send(FIRST)  # as a sender does: how long the line is shows only in what is short
    for _ in range(300):
        line.send(FRAME)
    assert line.most_waiting <= 1 << 20


def test_a_long_fast_line_is_filled() -> None:
    line = Line(100e6, 0.05)
    for _ in range(800):
        line.send(FRAME)
    assert line.sent / line.now > 0.8 * 100e6


def test_the_first_piece_goes_alone() -> None:
    pace = Pace(lambda: 0.0)
    assert pace.may_send(FRAME)
    pace.sending(1000)
    assert not pace.may_send(1)
    pace.took(1000, 0.001)
    assert pace.limit == AHEAD
    pace.sending(FRAME)
    assert pace.may_send(FRAME)
