"""Expressions of a smoke run come from whoever wrote the bundle."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_agent.runs.matching import NoVerdict, matches


@settings(max_examples=8, deadline=None)
@given(st.text(), st.sampled_from(["a", "^$", "(?i)É", "\\d+", "\x00", "\n$"]))
def test_it_is_re_search(text: str, pattern: str) -> None:
    assert matches(pattern, text) == bool(re.search(pattern, text))


def test_an_expression_without_an_end_is_ended() -> None:
    with pytest.raises(NoVerdict, match="no end within"):
        matches("(a+)+$", "a" * 40 + "b", patience_s=0.3)
