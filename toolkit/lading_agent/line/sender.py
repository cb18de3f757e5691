"""The sending half: keeps what is not acknowledged, and sends again what the line lost.

The line keeps the order of what it carries. So an acknowledgement that names the last transmission seen tells for every
earlier one whether it arrived: nothing has to be guessed from repeated acknowledgements, and repeats go out at once.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, List, NamedTuple, Optional, Tuple

from lading_agent.line.frames import ACK, ASK, DATA, LineFrame

if TYPE_CHECKING:
    from lading_agent.line.pace import Pace

ACK_HEAD: Final = struct.Struct(">IHH")
RANGE: Final = struct.Struct(">II")
MOST_RANGES: Final = 32

_WRAP: Final = 1 << 32
_TURNS: Final = 1 << 16


class Acknowledgement(NamedTuple):
    """What a receiver says it has."""

    upto: int
    window: int
    turn: int
    delay_ms: int
    ranges: Tuple[Tuple[int, int], ...] = ()
    """Beyond ``upto``: begin and end of each part that is there, rising."""

    def frame(self, tag: int, turn: int) -> LineFrame:
        """The frame that says it."""
        parts = [ACK_HEAD.pack(self.window, self.turn % _TURNS, min(self.delay_ms, 0xFFFF))]
        parts += [RANGE.pack(a % _WRAP, b % _WRAP) for a, b in self.ranges[:MOST_RANGES]]
        return LineFrame(ACK, tag, turn % _TURNS, self.upto % _WRAP, b"".join(parts))


class _Sent(NamedTuple):
    start: int
    end: int
    at: float


class Sender:
    """One direction of a stream. Offsets count from 0 and do not wrap here; on the wire they are taken modulo 2**32.

    The end of the stream takes one number, as if it were an octet; its frame, alone, has no payload.
    """

    def __init__(self, tag: int, pace: Pace, peer_window: int) -> None:
        self.pace = pace
        self._tag = tag
        self._base = 0
        self._data = bytearray()
        self._next = 0
        self._limit = peer_window
        self._turn = 0
        self._seen_turn = 0
        self._flight: OrderedDict[int, _Sent] = OrderedDict()
        self._again: List[Tuple[int, int]] = []
        self._have: List[Tuple[int, int]] = []
        self._end_at: Optional[int] = None
        self._heard_at: Optional[float] = None
        self.repeated_bytes = 0
        self.sent_frames = 0

    # -- the user's side ----------------------------------------------------------------------------------------------

    @property
    def queued(self) -> int:
        """Octets that are not acknowledged yet, sent or not."""
        return len(self._data)

    @property
    def done(self) -> bool:
        """Whether everything, and the end if there is one, has been acknowledged."""
        return not self._data

    def write(self, data: bytes) -> None:
        """Queue data."""
        assert self._end_at is None, "the stream was ended"
        self._data += data

    def finish(self) -> None:
        """Nothing more will be written."""
        if self._end_at is None:
            self._end_at = self._base + len(self._data)
            self._data += b"\0"

    # -- the line's side ----------------------------------------------------------------------------------------------

    def turn(self) -> int:
        """The number of the next transmission; every frame takes one."""
        self._turn += 1
        return self._turn

    def next_frame(self, now: float) -> Optional[bytes]:
        """The next data frame that may go out; None while there is nothing to send or no room for it."""
        piece = self._lost_piece() or self._new_piece()
        if piece is not None:
            return self._frame(piece, now)
        if self._heard_at is not None and self._flight and now >= self._deadline():
            # Nothing is heard: a question, whose answer tells what became of everything. No data: by now a shell may
            # listen where the other end was.
            self.pace.silent(min(sent.end - sent.start for sent in self._flight.values()))
            self._heard_at = now
            return LineFrame(ASK, self._tag, self.turn() % _TURNS, self._base % _WRAP).encode()
        return None

    def wake_at(self) -> Optional[float]:
        """When to call :meth:`next_frame` again if nothing is heard before."""
        return self._deadline() if self._flight and self._heard_at is not None else None

    def _deadline(self) -> float:
        assert self._heard_at is not None
        return self._heard_at + self.pace.patience_s

    def _under_way(self) -> int:
        return sum(sent.end - sent.start for sent in self._flight.values())

    def _lost_piece(self) -> Optional[Tuple[int, int]]:
        while self._again:
            start, end = self._again[0]
            start = max(start, self._base)
            if start >= end:
                self._again.pop(0)
                continue
            piece = self._cut(start, min(end - start, self.pace.frame))
            size = piece[1] - start
            if self._flight and self._under_way() + size > self.pace.window:
                return None
            if piece[1] >= end:
                self._again.pop(0)
            else:
                self._again[0] = (piece[1], end)
            self.repeated_bytes += size
            return piece
        return None

    def _new_piece(self) -> Optional[Tuple[int, int]]:
        end = self._base + len(self._data)
        if self._again or self._next >= end:
            return None
        room = self._limit - self._next
        if self._flight:
            room = min(room, self.pace.window - self._under_way())
        size = min(end - self._next, self.pace.frame)
        if room < size and (self._flight or room <= 0):
            return None
        piece = self._cut(self._next, min(size, room))
        self._next = piece[1]
        return piece

    def _cut(self, start: int, size: int) -> Tuple[int, int]:
        """A piece that holds data or the end, never both."""
        end_at = self._end_at
        return (start, end_at if end_at is not None and start < end_at < start + size else start + size)

    def _frame(self, piece: Tuple[int, int], now: float) -> bytes:
        start, end = piece
        turn = self.turn()
        if not self._flight:
            self._heard_at = now
        self._flight[turn] = _Sent(start, end, now)
        self.sent_frames += 1
        payload = b"" if start == self._end_at else bytes(self._data[start - self._base : end - self._base])
        return LineFrame(DATA, self._tag, turn % _TURNS, start % _WRAP, payload).encode()

    def acknowledged(self, frame: LineFrame, now: float) -> bool:
        """Take an acknowledgement; False when it makes no sense."""
        ack = parse(frame, self._base, self._turn)
        if ack is None or ack.upto > self._next or ack.turn > self._turn:
            return False
        if ack.upto < self._base:
            return True  # an old one, repeated by the line
        if ack.upto > self._base or ack.turn > self._seen_turn:
            self._seen_turn = ack.turn
            self._heard_at = now
        self._limit = max(self._limit, ack.upto + ack.window)
        self._have = [(a, b) for a, b in ack.ranges if ack.upto < a < b <= self._next]
        known_to = self._have[-1][1] if len(ack.ranges) >= MOST_RANGES and self._have else self._next
        self._judge(ack, known_to, now)
        del self._data[: ack.upto - self._base]
        self._base = ack.upto
        return True

    def _judge(self, ack: Acknowledgement, known_to: int, now: float) -> None:
        echoed = self._flight.get(ack.turn)
        if echoed is not None:
            self.pace.answered(max(0.0, now - echoed.at - ack.delay_ms / 1000))
        judged = [(turn, sent) for turn, sent in self._flight.items() if turn <= ack.turn]
        gone = []
        for turn, sent in judged:
            holes = self._holes(sent, ack.upto)
            if holes and sent.end > known_to:
                continue  # the answer had no room to tell
            del self._flight[turn]
            if holes:
                gone.append((sent, holes))
            else:
                self.pace.delivered(sent.end - sent.start)
        for sent, holes in gone:
            self.pace.lost(sent.end - sent.start, many=len(gone) > 1 and 3 * len(gone) > len(judged))
            for hole in holes:
                self._send_again(hole)
        for turn in [turn for turn, sent in self._flight.items() if sent.end <= ack.upto]:
            del self._flight[turn]  # repeats of what had arrived meanwhile

    def _holes(self, sent: _Sent, upto: int) -> List[Tuple[int, int]]:
        at = max(sent.start, upto)
        holes = []
        for begin, end in self._have:
            if begin >= sent.end:
                break
            if end <= at:
                continue
            if begin > at:
                holes.append((at, begin))
            at = max(at, end)
        if at < sent.end:
            holes.append((at, sent.end))
        return holes

    def _send_again(self, hole: Tuple[int, int]) -> None:
        """Note a hole, unless what fills it is under way already."""
        for sent in self._flight.values():
            if sent.start <= hole[0] and hole[1] <= sent.end:
                return
        for begin, end in self._again:
            if begin <= hole[0] and hole[1] <= end:
                return
        self._again.append(hole)
        self._again.sort()


def parse(frame: LineFrame, near: int, near_turn: int) -> Optional[Acknowledgement]:
    """An acknowledgement with whole numbers, those on the wire being taken for the ones nearest to what is known."""
    body = frame.payload
    extra = len(body) - ACK_HEAD.size
    if extra < 0 or extra % RANGE.size or extra > MOST_RANGES * RANGE.size:
        return None
    window, turn, delay_ms = ACK_HEAD.unpack_from(body)
    ranges = []
    for at in range(ACK_HEAD.size, len(body), RANGE.size):
        begin, end = RANGE.unpack_from(body, at)
        ranges.append((nearest(begin, near, _WRAP), nearest(end, near, _WRAP)))
    if any(ranges[at][1] >= ranges[at + 1][0] for at in range(len(ranges) - 1)):
        return None
    return Acknowledgement(
        nearest(frame.number, near, _WRAP), window, nearest(turn, near_turn, _TURNS), delay_ms, tuple(ranges)
    )


def nearest(number: int, near: int, modulus: int) -> int:
    """The whole number closest to ``near`` that is ``number`` modulo ``modulus``."""
    return near + (number - near + modulus // 2) % modulus - modulus // 2
