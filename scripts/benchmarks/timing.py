"""Timing of whole processes and of loops: medians over alternating runs, so that drift hits both sides alike."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def seconds(run: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def paired(a: Callable[[], object], b: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of two calls that take turns, after one warm-up of each."""
    a(), b()
    first, second = [], []
    for _ in range(rounds):
        first.append(seconds(a))
        second.append(seconds(b))
    return statistics.median(first), statistics.median(second)


def process(command: Sequence[str | Path]) -> Callable[[], object]:
    """A call that runs a command to its end, which must be a good one."""
    return lambda: subprocess.run(
        command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def ms(value: float) -> float:
    """Seconds as milliseconds, to the microsecond."""
    return round(value * 1e3, 3)
