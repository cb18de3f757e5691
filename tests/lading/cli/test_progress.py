"""Bars stay one line each, and go when they are done."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lading.cli.progress import Bars
from lading.cli.screen import Screen

LONG = "kitchen: bringing the engines (runner 0.1.0, wasmtime 50.0.1, litert 2.3.0)"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A screen whose standard error is a terminal of 80 columns."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, soft_wrap=True)
    monkeypatch.setattr(Screen, "err", console)
    monkeypatch.setattr(Screen, "watched", True)
    return Screen()


def _lines(bars: Bars) -> list[str]:
    assert bars._progress is not None
    console = Console(file=io.StringIO(), width=80)
    with console.capture() as shown:
        console.print(bars._progress.get_renderable())
    return [line.rstrip() for line in shown.get().splitlines() if line.strip()]


def test_a_long_name_is_cut_short_and_the_numbers_are_whole(screen: Screen) -> None:
    bars = Bars(screen)
    bars.update(LONG, 31_500_000, 32_200_000)
    bars.update("write", 1000, 72_600)
    first, second = _lines(bars)
    assert first.startswith("kitchen: bringing the engines")
    assert "31.5/32.2 MB" in first
    assert "1.0/72.6 kB" in second


def test_a_bar_that_is_done_goes(screen: Screen) -> None:
    bars = Bars(screen)
    bars.update("hash", 10, 20)
    bars.update("write", 5, 20)
    bars.update("hash", 20, 20)
    (only,) = _lines(bars)
    assert only.startswith("write")
