"""Help that flows in any width and shows types only where something is to be written."""

from __future__ import annotations

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


def test_paragraphs_are_broken_where_the_terminal_ends() -> None:
    assert flowing("First\n    line.\n\n    Second\n    paragraph.") == "First line.\n\nSecond paragraph."
