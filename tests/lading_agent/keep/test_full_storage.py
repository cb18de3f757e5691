"""A release that fills the storage is what going back is there for: it must not need room."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import pytest

from lading.errors import LadingError
from tests.support.boards import tmpfs
from tests.support.cargo import cargo
from tests.support.keeping import Board, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLD, NEW = (cargo(version, smoke=(), golden=False) for version in ("1.0.0", "2.0.0"))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Board]:
    """A board whose storage holds four megabytes."""
    with tmpfs(tmp_path / "card", "size=4m,nr_inodes=600") as card:
        made = Board(card)
        try:
            yield made
        finally:
            (made.home / "filling").unlink(missing_ok=True)
            made.end()


def fill(board: Board) -> None:
    fd = os.open(board.home / "filling", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, bytes(65536))
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, b"x")
    os.close(fd)


def test_on_a_full_storage_the_device_goes_back_all_the_same(small: Board) -> None:
    with small.session() as agent:
        agent.push(OLD)
        agent.push(NEW, confirm_within_s=3.0)
        fill(small)
    eventually(lambda: small.current() == OLD.release)
    eventually(lambda: not small.processes())
    (small.home / "filling").unlink()
    with small.session() as agent:
        assert agent.status()["apps"]["echo"]["pending"] is None
        assert agent.status()["apps"]["echo"]["current"] == OLD.release
        agent.push(NEW)


def test_a_full_storage_can_be_asked_and_cleared(small: Board) -> None:
    with small.session() as agent:
        agent.push(OLD)
        agent.push(NEW)
    fill(small)
    with small.session() as agent:
        assert agent.status()["apps"]["echo"]["current"] == NEW.release
        with contextlib.suppress(LadingError):
            agent.run_detached("echo")
        with contextlib.suppress(LadingError):
            agent.service("status", "echo")
        assert agent.stop("echo") is not None
        eventually(lambda: len(small.processes()) == 1)  # the agent itself
        assert agent.remove("echo")["removed"]
