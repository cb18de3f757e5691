"""The memory that a run reports is its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.emulate import EmulateOptions
from tests.support import wat_guests as guests
from tests.support.runs import run_module

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def test_a_parent_that_held_much_does_not_show_in_the_runs_figures(tmp_path: Path) -> None:
    held = bytearray(b"\1") * (400 * MIB)
    module = tmp_path / "guest.wasm"
    module.write_bytes(guests.exits(0))
    ran = run_module(module, EmulateOptions())
    assert ran.status == 0
    assert len(held) == 400 * MIB
    assert 5 * MIB < ran.result.metrics["peak_memory_bytes"] < 300 * MIB
