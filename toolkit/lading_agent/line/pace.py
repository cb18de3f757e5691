"""How long frames should be, and how much may be under way: learnt from what became of the frames before.

With a chance p that any one byte is spoilt, and h bytes of overhead, frames of length sqrt(h / p) carry the most:
longer ones are lost too often, shorter ones are mostly overhead.
"""

from __future__ import annotations

import math
from typing import Final, Optional

from lading_agent.line.frames import OVERHEAD

SHORTEST: Final = 48
MEMORY_BYTES: Final = 48 * 1024
"""What was longer ago than about this many octets counts little."""
PRIOR_LOSSES: Final = 0.02
PRIOR_BYTES: Final = 200.0
LEAST_WINDOW: Final = 4.0 * SHORTEST
"""Enough for a loss to show by what comes after it, and with its overhead about what small UARTs can hold."""
SPARE_S: Final = 0.25
"""How much may queue on the way, besides what the line itself takes: a deeper queue only makes answers late."""
START_WINDOW: Final = 1024
FIRST_PATIENCE_S: Final = 1.5
LEAST_PATIENCE_S: Final = 0.12
MOST_PATIENCE_S: Final = 8.0
MOST_BACKOFF: Final = 4.0


class Pace:
    """Frame size, window and patience of one direction."""

    def __init__(self, max_frame: int, max_window: int) -> None:
        self._max_frame = max_frame
        self._max_window = max_window
        self._bytes = 0.0
        self._losses = 0.0
        self._window = float(min(START_WINDOW, max_window))
        self._rtt: Optional[float] = None
        self._spread = 0.0
        self._least_rtt: Optional[float] = None
        self._backoff = 1.0

    @property
    def frame(self) -> int:
        """Octets of payload for the next frame."""
        chance = (self._losses + PRIOR_LOSSES) / (self._bytes + PRIOR_BYTES)
        return max(SHORTEST, min(self._max_frame, int(math.sqrt(OVERHEAD / chance))))

    @property
    def window(self) -> int:
        """Octets that may be under way."""
        return int(min(self._max_window, max(self._window, 2 * self.frame)))

    @property
    def patience_s(self) -> float:
        """Seconds without any answer after which something is sent again."""
        if self._rtt is None:
            return FIRST_PATIENCE_S * self._backoff
        usual = self._rtt + 4 * self._spread + 0.05
        return min(MOST_PATIENCE_S, max(LEAST_PATIENCE_S, usual) * self._backoff)

    def delivered(self, size: int) -> None:
        """A frame arrived."""
        self._seen(size, 0.0)
        if self._rtt is None or self._least_rtt is None or self._rtt < 2 * self._least_rtt + SPARE_S:
            self._window = min(float(self._max_window), self._window + size)

    def lost(self, size: int, *, many: bool) -> None:
        """A frame was lost; ``many``: so were others of the same window, as where a receiver's buffer runs over."""
        self._seen(size, 1.0)
        if many:
            self._window = max(LEAST_WINDOW, self._window * 0.7)

    def answered(self, rtt_s: float) -> None:
        """An answer came this long after what it answers was handed to the line."""
        self._backoff = 1.0
        self._least_rtt = rtt_s if self._least_rtt is None else min(self._least_rtt * 1.001, rtt_s)
        if self._rtt is None:
            self._rtt, self._spread = rtt_s, rtt_s / 2
        else:
            self._spread += 0.25 * (abs(rtt_s - self._rtt) - self._spread)
            self._rtt += 0.125 * (rtt_s - self._rtt)
        if self._rtt > 4 * self._least_rtt + 4 * SPARE_S:
            self._window = max(LEAST_WINDOW, self._window * 0.9)

    def silent(self, size: int) -> None:
        """Nothing came for as long as patience lasted; the oldest frame under way had ``size`` octets."""
        self._backoff = min(self._backoff * 1.5, MOST_BACKOFF)
        self._seen(size, 1.0)

    def _seen(self, size: int, losses: float) -> None:
        fade = max(0.0, 1.0 - (size + OVERHEAD) / MEMORY_BYTES)
        self._bytes = self._bytes * fade + size + OVERHEAD
        self._losses = self._losses * fade + losses
