"""Remedies read alike wherever they come from: lower case, no full stop."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from tests.support.examples import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(path for package in ("lading", "lading_agent") for path in (ROOT / "toolkit" / package).rglob("*.py"))


def ends(value: ast.expr) -> Iterator[tuple[str, str]]:
    """How the texts that an expression may be begin and end; empty where that is not written there."""
    if isinstance(value, ast.IfExp):
        yield from (*ends(value.body), *ends(value.orelse))
    elif isinstance(value, ast.BoolOp):
        for operand in value.values:
            yield from ends(operand)
    elif isinstance(value, ast.BinOp):
        for left in ends(value.left):
            for right in ends(value.right):
                yield left[0], right[1]
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value, value.value
    elif isinstance(value, ast.JoinedStr):
        first, last = value.values[0], value.values[-1]
        yield (
            str(first.value) if isinstance(first, ast.Constant) else "",
            str(last.value) if isinstance(last, ast.Constant) else "",
        )


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "toolkit")))
def test_a_remedy_begins_small_and_ends_without_a_full_stop(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "remedy":
            for begin, end in ends(node.value):
                assert not (begin[:1].isupper() and begin[1:2].islower()), f"{path}:{node.value.lineno}: {begin}"
                assert not end.endswith("."), f"{path}:{node.value.lineno}: {end}"
