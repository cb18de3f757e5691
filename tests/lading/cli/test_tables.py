"""Tables on a terminal: no word is broken, whatever the width; in a pipe a row is a line."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.cli.screen import _EDGES, _fitting
from tests.support.terminal import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = str(Path(sys.executable).with_name("lading"))
WORD = st.text("ab", min_size=1, max_size=12)
CELL = st.lists(WORD, max_size=6).map(" ".join)


def shown(tmp_path: Path, columns: int, *words: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "COLUMNS": str(columns)}
    text = on_a_terminal([COMMAND, *words], env, tmp_path).decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("verb", ["targets", "profiles", "engines"])
def test_listings_break_no_words(tmp_path: Path, verb: str, columns: int) -> None:
    found = shown(tmp_path, columns, verb, "list")
    assert max(map(len, found.splitlines())) <= columns
    whole = set(shown(tmp_path, 300, verb, "list").split())
    assert set(found.split()) - {"─" * n for n in range(400)} <= whole | {"wit-0.2.0-rc-2024-10-28"}


@given(st.integers(20, 120), st.lists(st.tuples(CELL, CELL, CELL), min_size=1, max_size=5))
def test_columns_have_room_for_their_words(width: int, rows: Sequence[tuple[str, str, str]]) -> None:
    columns = ["first", "second", "third"]
    gap, widths = _fitting(columns, rows, ["third"], width)
    if widths is None:
        return
    if any(widths):
        assert sum(widths) + 2 * gap + _EDGES <= width
        for n, column in enumerate(zip(*rows, strict=True)):
            parts = column if n in (0, 2) else [word for cell in column for word in cell.split()]
            assert all(len(part) <= widths[n] for part in parts)
