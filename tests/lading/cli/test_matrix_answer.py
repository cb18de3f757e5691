"""The matrix in a terminal, in a dumb one, in a pipe."""

from __future__ import annotations

import io
import re
import sys
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.check import Place, Verdict
from lading.check.verdict import At, Errno
from lading.cli.matrix_answer import show_matrix
from lading.cli.screen import Screen
from lading.variants.matrix import App, Cell, Matrix

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    """Standard output that says that somebody looks at it."""

    def isatty(self) -> bool:
        return True


def matrix() -> Matrix:
    failed = Verdict(
        "fails", "p", "measured", At(3, "set_input"), "errno", Errno("invalid_argument", 1), "\x1b[31mtype", "send f32"
    )
    ok = Verdict("ok", "p", "measured")
    cells = (
        (Cell("ok", ok, ok, "default", "as it was given"),),
        (Cell("variant", failed, ok, "wamr-2.3", "m as float32, guest rewritten"),),
        (
            Cell(
                "fails", failed, failed, "default", "as it was given", "guest rewritten: no such function", "do without"
            ),
        ),
    )
    ids = ("lading-litert", "wamr-2.3", "wasmtime-wit")
    places = tuple(Place(profiles.find(f"profile:{i}")) for i in ids)
    return Matrix((App("a", "digits", "1.0.0", "r", ("default", "wamr-2.3"), ("a note",)),), places, cells)


def drawn(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """What a terminal of 80 columns gets."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **environment}.items():
        monkeypatch.setenv(name, value)
    out = Terminal()
    with monkeypatch.context() as looked_at:
        looked_at.setattr(sys, "stdout", out)
        show_matrix(Screen(), matrix(), None)
    return out.getvalue()


def test_a_terminal_gets_colours_and_lines_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = drawn(monkeypatch)
    assert "\x1b[33mvariant" in shown
    assert "\x1b[31mfails" in shown
    assert "\x1b[31mtype" not in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize(("name", "value"), [("TERM", "dumb"), ("NO_COLOR", "1")])
def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    shown = drawn(monkeypatch, **{name: value})
    assert not re.search(r"\x1b\[3\d", shown)
    assert "variant" in shown


def test_a_pipe_gets_one_line_for_each_place_with_reason_and_remedy(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    show_matrix(Screen(), matrix(), tmp_path / "page.html")
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["wamr-2.3", "measured", "variant"] in lines
    assert ["wasmtime-wit", "inferred", "fails"] in lines
    assert "wamr-2.3: m as float32, guest rewritten; without that set_input (call 3): invalid_argument (1)" in out
    assert "tried: guest rewritten: no such function" in out
    assert "remedy: do without" in out
    assert "1 ok, 1 variant, 1 fails" in out
    assert str(tmp_path / "page.html") in out
    assert "\x1b" not in out
    assert "a note" in err
