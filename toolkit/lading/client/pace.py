"""How far sending may run ahead of what the device has taken.

What lies in buffers on the way when a link breaks is lost: an SSH server throws away up to 2 MiB that its own agent has
not read yet. So no more than :data:`AHEAD` waits there, beside what a long line carries at its speed. The device tells
how much it took; from that come the shortest way there and back, and the speed.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

AHEAD: Final = 896 * 1024
"""Octets that may wait on the way."""
NEAR_S: Final = 0.004
"""A way there and back that is no longer than this is all work and no line."""
FADE: Final = 0.98
"""What is left of the best speed with each word of the device."""


class Pace:
    """Counts octets out and octets taken.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sent = 0
        self._taken = 0
        self._under_way: deque[tuple[int, int, float]] = deque()
        self._shortest_s: float | None = None
        self._speed = 0.0

    @property
    def limit(self) -> int:
        """Octets that may be under way."""
        return AHEAD + int(self._speed * max(0.0, (self._shortest_s or 0.0) - NEAR_S))

    def may_send(self, octets: int) -> bool:
        """Whether so many more may go out now. With nothing under way anything may; the first goes alone."""
        if self._sent == self._taken:
            return True
        return self._shortest_s is not None and self._sent - self._taken + octets <= self.limit

    def sending(self, octets: int) -> None:
        """So many go out now."""
        self._sent += octets
        self._under_way.append((self._sent, self._taken, self._clock()))

    def took(self, total: int, at: float) -> None:
        """The device has taken so many octets, all together; its word came at a time of the clock."""
        newest: tuple[int, int, float] | None = None
        while self._under_way and self._under_way[0][0] <= total:
            newest = self._under_way.popleft()
        if newest is not None:
            _, taken_then, then = newest
            way_s = max(at - then, 1e-6)
            self._shortest_s = min(way_s, self._shortest_s or way_s)
            self._speed = max(self._speed * FADE, (total - taken_then) / way_s)
        self._taken = max(self._taken, min(total, self._sent))
