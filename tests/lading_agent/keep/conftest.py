"""A board whose agent leaves processes behind; nothing of it runs after the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.keeping import Board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path)
    try:
        yield made
    finally:
        made.end()
