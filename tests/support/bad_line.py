"""A serial line in simulated time: pace, latency, flipped bits, lost and repeated bytes, by seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lading_agent.line.endpoint import Endpoint, LineSettings

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Direction:
    """What becomes of bytes on their way."""

    seed: int
    rate: float = 11520.0
    """Octets a second."""
    delay_s: float = 0.003
    bit_errors: float = 0.0
    lost_bytes: float = 0.0
    repeated_bytes: float = 0.0
    cut_after: int | None = None
    """The line is dead after so many octets."""
    carried: int = 0
    free_at: float = 0.0
    under_way: list[tuple[float, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def send(self, data: bytes, now: float) -> None:
        out = bytearray()
        for byte in data:
            self.carried += 1
            if self.cut_after is not None and self.carried > self.cut_after:
                continue
            if self.random.random() < self.lost_bytes:
                continue
            if self.random.random() < self.bit_errors * 8:
                byte ^= 1 << self.random.randrange(8)
            out.append(byte)
            if self.random.random() < self.repeated_bytes:
                out.append(byte)
        self.free_at = max(now, self.free_at) + len(data) / self.rate
        self.under_way.append((self.free_at + self.delay_s, bytes(out)))

    def ready(self, now: float) -> bool:
        """Whether the sender's own buffer has room."""
        return self.free_at - now < 0.2

    def arrived(self, now: float) -> bytes:
        out = b""
        while self.under_way and self.under_way[0][0] <= now:
            out += self.under_way.pop(0)[1]
        return out


@dataclass
class Transfer:
    """What became of one simulated transfer."""

    there: bytes
    back: bytes
    seconds: float
    client: Endpoint
    device: Endpoint


def transfer(
    there: bytes,
    back: bytes,
    ways: tuple[Direction, Direction],
    settings: LineSettings | None = None,
    *,
    most_s: float = 3000.0,
    console: Callable[[float], bytes] = lambda _now: b"",
) -> Transfer:
    """Open a session, carry data both ways, end both streams; all in simulated time.

    Args:
        there, back: what client and device send.
        ways: the two directions of the line.
        settings: of both ends.
        most_s: gives up after so many seconds.
        console: what a kernel writes onto the line towards the client, asked at every step.
    """
    now = 0.0
    settings = settings or LineSettings(deflate=False)
    client = Endpoint(opens=True, settings=settings, now=now, session=b"session0")
    device = Endpoint(opens=False, settings=settings, now=now)
    sides = ((client, ways[0], ways[1], there), (device, ways[1], ways[0], back))
    written: set[int] = set()
    got: dict[int, bytearray] = {0: bytearray(), 1: bytearray()}
    while now < most_s:
        for number, (end, out, came, data) in enumerate(sides):
            arrived = came.arrived(now) + (console(now) if number == 0 else b"")
            if arrived:
                end.feed(arrived, now)
            if end.is_open and number not in written:
                end.sender.write(data)
                end.sender.finish()
                written.add(number)
            while out.ready(now):
                output = end.next_output(now)
                if not output:
                    break
                out.send(output, now)
            got[number] += end.receiver.read(1 << 20)
        if client.lost:
            break
        if all(end.is_open and end.sender.done and end.receiver.ended for end in (client, device)):
            break
        moments = [client.wake_at(), device.wake_at(), now + 0.05]
        for way in ways:
            if way.under_way:
                moments.append(way.under_way[0][0])
            if not way.ready(now):
                moments.append(way.free_at - 0.2 + 1e-6)
        now = max(now + 1e-4, min(moments))
    return Transfer(bytes(got[1]), bytes(got[0]), now, client, device)
