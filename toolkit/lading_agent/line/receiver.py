"""The receiving half: puts what comes in order, and says what is there."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Deque, Final, List, Optional, Tuple

from lading_agent.line.sender import MOST_RANGES, Acknowledgement, nearest

if TYPE_CHECKING:
    from lading_agent.line.frames import LineFrame

MOST_PIECES: Final = 1024
"""Out-of-order pieces that are kept; the window bounds their octets."""
ACK_DELAY_S: Final = 0.015
ACK_EVERY_BYTES: Final = 2048
_WRAP: Final = 1 << 32
_TURNS: Final = 1 << 16


class Receiver:
    """One direction of a stream, at its reading end. Holds no more than its window.

    Args:
        window: octets that may be here, in order and unread or waiting for others before them.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self._expected = 0
        self._ready: Deque[bytes] = deque()
        self._ready_bytes = 0
        self._pieces: List[Tuple[int, int, bytes]] = []
        self._ended = False
        self._turn = 0
        self._turn_at = 0.0
        self._ack_at: Optional[float] = None
        self._unacknowledged = 0
        self._told_limit = window
        self.repeated_frames = 0

    # -- the user's side ----------------------------------------------------------------------------------------------

    @property
    def ended(self) -> bool:
        """Whether the other side ended the stream and all of it was read."""
        return self._ended and not self._ready

    @property
    def readable(self) -> int:
        """Octets that can be read now."""
        return self._ready_bytes

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` octets of what is there."""
        parts: List[bytes] = []
        while self._ready and limit > 0:
            part = self._ready.popleft()
            if len(part) > limit:
                self._ready.appendleft(part[limit:])
                part = part[:limit]
            parts.append(part)
            limit -= len(part)
        data = b"".join(parts)
        self._ready_bytes -= len(data)
        return data

    # -- the line's side ----------------------------------------------------------------------------------------------

    def take(self, frame: LineFrame, now: float) -> None:
        """Take a data frame."""
        start = nearest(frame.number, self._expected, _WRAP)
        self._note_turn(frame, now)
        end = start + max(1, len(frame.payload))
        if end > self._expected + self._room or start < 0:
            self._want_ack(now)  # beyond the window: the sender is told where it is
            return
        if end <= self._expected:
            self.repeated_frames += 1
            self._want_ack(now)
        elif start <= self._expected and not self._pieces:
            self._deliver(start, end, frame.payload)
            self._unacknowledged += end - start
            if self._ended or self._unacknowledged >= ACK_EVERY_BYTES:
                self._want_ack(now)
            else:
                self._want_ack(now + ACK_DELAY_S)
        else:
            self._keep(start, end, frame.payload)
            while self._pieces and self._pieces[0][0] <= self._expected:
                self._deliver(*self._pieces.pop(0))
            self._want_ack(now)

    def asked(self, frame: LineFrame, now: float) -> None:
        """The sender wants to know what is here."""
        self._note_turn(frame, now)
        self._want_ack(now)

    def _note_turn(self, frame: LineFrame, now: float) -> None:
        turn = nearest(frame.turn, self._turn, _TURNS)
        if turn >= self._turn:
            self._turn, self._turn_at = turn, now

    @property
    def _room(self) -> int:
        return max(0, self._window - self._ready_bytes)

    def _deliver(self, start: int, end: int, payload: bytes) -> None:
        if end <= self._expected or self._ended:
            return
        if payload:
            fresh = payload[self._expected - start :]
            self._ready.append(fresh)
            self._ready_bytes += len(fresh)
        else:
            self._ended = True
            self._pieces.clear()
        self._expected = end

    def _keep(self, start: int, end: int, payload: bytes) -> None:
        """Note a piece that came too early, without what is there already."""
        if len(self._pieces) >= MOST_PIECES:
            return
        at = bisect_left(self._pieces, (start, 0, b""))
        if at and self._pieces[at - 1][1] > start:
            cut = self._pieces[at - 1][1]
            if cut >= end:
                self.repeated_frames += 1
                return
            payload, start = payload[cut - start :], cut
        while at < len(self._pieces) and self._pieces[at][0] < end:
            if self._pieces[at][1] <= end:
                del self._pieces[at]
            else:
                payload = payload[: self._pieces[at][0] - start]
                end = self._pieces[at][0]
        if end > start:
            self._pieces.insert(at, (start, end, payload))

    def _want_ack(self, at: float) -> None:
        self._ack_at = at if self._ack_at is None else min(self._ack_at, at)

    def ack_due(self, now: float) -> bool:
        """Whether an acknowledgement should go out: something came, or there is room again."""
        if self._ack_at is not None and now >= self._ack_at:
            return True
        return self._expected + self._room - self._told_limit >= self._window // 2

    def wake_at(self) -> Optional[float]:
        """When the next acknowledgement is due."""
        return self._ack_at

    def acknowledgement(self, now: float) -> Acknowledgement:
        """What is here, for the sender; it counts as told."""
        self._ack_at = None
        self._unacknowledged = 0
        self._told_limit = self._expected + self._room
        ranges: List[Tuple[int, int]] = []
        for start, end, _ in self._pieces:
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], end)
            elif len(ranges) < MOST_RANGES:
                ranges.append((start, end))
            else:
                break
        delay = max(0, round((now - self._turn_at) * 1000)) if self._turn else 0
        return Acknowledgement(self._expected, self._room, self._turn, delay, tuple(ranges))
