"""Which target a board is: by the name that it gives itself."""

from __future__ import annotations

import pytest

from lading import targets
from lading.bootstrap.device import device_document, match_target
from lading.bootstrap.look import Look

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("board", "architecture", "target"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "aarch64", "raspberry-pi-4b"),
        ("Raspberry Pi 5 Model B Rev 1.0", "aarch64", "raspberry-pi-5"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", "aarch64", "raspberry-pi-3b-plus"),
        ("Raspberry Pi 3 Model B Rev 1.2", "aarch64", None),
        ("Raspberry Pi Zero 2 W Rev 1.0", "aarch64", "raspberry-pi-zero-2-w"),
        ("Raspberry Pi 4 Model B Rev 1.4", "armv7l", None),
        ("Raspberry Pi 4 Model Basic", "aarch64", None),
        ("Some board of somebody's", "aarch64", None),
        ("", "aarch64", None),
        ("Standard PC (Q35 + ICH9, 2009)", "x86_64", "x86-64"),
        ("", "x86_64", "x86-64"),
    ],
)
def test_a_boards_name_leads_to_its_target(board: str, architecture: str, target: str | None) -> None:
    found = match_target(board, architecture, targets.all_targets())
    assert (found.id if found else None) == target


def test_what_was_measured_counts_more_than_what_is_usual() -> None:
    facts = {
        "system": {"architecture": "aarch64"},
        "board": "Raspberry Pi 4 Model B Rev 1.4",
        "memory": {"total_bytes": 7812 * MIB},
    }
    target = device_document(Look("/h", "/", None, None, 64, facts), {"id": "p"})["target"]
    assert target["id"] == "raspberry-pi-4b"
    assert target["memory_bytes"] == 7812 * MIB
    assert 4096 * MIB < target["run_memory_bytes"] < 7812 * MIB
    assert target["storage_bytes"] is None


def test_a_board_that_nobody_knows_is_what_it_says_of_itself() -> None:
    facts = {"system": {"architecture": "aarch64"}, "board": "Ours", "memory": {"total_bytes": 512 * MIB}}
    target = device_document(Look("/h", "/", None, None, 64, facts), {"id": "p"})["target"]
    assert "id" not in target
    assert (target["name"], target["run_memory_bytes"]) == ("Ours", 320 * MIB)
