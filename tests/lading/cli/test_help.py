"""Help that flows in any width and shows types only where something is to be written."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from lading.cli.help import flowing
from lading.cli.main import APP


@pytest.mark.parametrize("verb", ["deploy", "push", "run", "emulate", "releases"])
def test_a_switch_has_no_type(verb: str) -> None:
    result = CliRunner().invoke(APP, [verb, "--help"])
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "<bool>" not in result.stdout


@pytest.mark.parametrize("words", [[], ["golden"], ["service"]])
def test_a_group_without_a_verb_shows_its_help_once(words: list[str]) -> None:
    script = "import sys; from lading.cli.main import main; sys.argv = ['lading', *sys.argv[1:]]; main()"
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (2, "")
    assert ran.stdout.count("Usage: lading") == 1


def test_paragraphs_are_broken_where_the_terminal_ends() -> None:
    assert flowing("First\n    line.\n\n    Second\n    paragraph.") == "First line.\n\nSecond paragraph."
