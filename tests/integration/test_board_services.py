"""What goes on without a connection, on a real board with systemd: services and going back, across a power cut."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.support.apps import write_app
from tests.support.qemu_boards import QemuBoard, raised
from tests.support.wat_guests import says_and_spins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CURRENT = "readlink /home/user/.local/share/lading/apps/*/current"
PATIENCE_S = 300


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuBoard]:
    with raised("debian-arm64-systemd", tmp_path_factory.mktemp("board")) as up:
        yield up


def eventually(look: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < until, "it did not come"
        time.sleep(1)


def as_root(board: QemuBoard, command: str) -> str:
    """What a command of root's prints, whatever its status: the user does not log in for it."""
    return board.run(f"{{ {command}; }} 2>/dev/null || true", user="root")


def test_services_and_releases_on_probation_outlive_a_power_cut(board: QemuBoard, tmp_path: Path) -> None:
    lading = board.lading
    one = lading.json("push", write_app(tmp_path / "app", says_and_spins("one\n")), board.address)
    first = one["devices"][0]["push"]["release"]

    # Only root may have the user linger there: the command that it takes is said, and then it works.
    told = lading("service", "enable", board.address, "app", expect=None)
    assert "loginctl enable-linger user" in told.out + told.err
    board.run("loginctl enable-linger user", user="root")
    lading("service", "enable", board.address, "app")
    assert lading.json("service", "status", board.address, "app")["enabled"] is True

    # A release on probation, and the power goes. Nobody logs in and nobody confirms: the board goes back by itself, and
    # the service of the user who lingers is there.
    new = write_app(tmp_path / "app", says_and_spins("two\n"), version="2.0.0")
    two = lading.json("push", new, board.address, "--confirm-within", "60s")["devices"][0]["push"]
    assert two["pending"] is not None
    assert two["release"] != first
    board.power_cut()
    board.up()
    eventually(lambda: first in as_root(board, CURRENT))
    eventually(lambda: "--wasmtime-version" in as_root(board, "pgrep -u user -fa wasmtime-version"))
    assert "revert" in str(lading.json("releases", board.address, "app"))
    assert lading("logs", board.address, "app", "--run", "service").out.rstrip().endswith("one")
