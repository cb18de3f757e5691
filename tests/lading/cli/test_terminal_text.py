"""What devices and guests say cannot command the terminal that it is shown on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading.cli.answer import write_json
from lading.cli.screen import Screen

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = ("\x1b]0;title\x07", "\x1b[2J", "\x9b31m", "a\rb", "\x7f", "\u202egnp.exe", "\U000e0041", "[red]x[/red]")


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_show_it(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.table(["one", "two"], [[text, text]], title=text)
    screen.say(text)
    screen.note(text)
    said = capsys.readouterr()
    lines = (said.out + said.err).replace("\n", "")
    assert lines.isprintable()
    assert said.out.count("[red]x[/red]") in (0, 4)


@pytest.mark.parametrize("text", HOSTILE)
def test_documents_show_it_and_mean_the_same(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"app": text, text: ["größe", "\ud800"]}
    write_json(document)
    said = capsys.readouterr().out
    assert said.replace("\n", "").isprintable()
    assert json.loads(said) == document


def test_text_of_other_languages_stays_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"größe": "大きさ"})
    assert "größe" in capsys.readouterr().out


def test_a_name_that_looks_like_markup_is_a_title_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(["x"], [["y"]], title=f"[link=file://{tmp_path}]x")
    assert f"[link=file://{tmp_path}]x" in capsys.readouterr().out
