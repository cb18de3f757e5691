"""How a check is shown: the matrix, then every remedy once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.cli.screen import STYLES, counted, folded
from lading.cli.streams import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lading.check.report import Report
    from lading.check.verdict import Verdict
    from lading.cli.screen import Screen

NARROW: Final = 40
"""Columns that the last cell needs beside the others; with fewer it goes below its row."""

INDENT: Final = 4


def show_check(screen: Screen, report: Report) -> None:
    """Show a report: one row a verdict, then remedies, then what else is to be said."""
    verdicts = report.verdicts
    remedies = list(dict.fromkeys(v.remedy for v in verdicts if v.remedy))
    alone = len(verdicts) == 1
    targets = any(v.target for v in verdicts)
    rows = [
        [
            *([v.target or "–"] if targets else []),
            v.profile,
            v.verdict,
            v.known_by,
            v.where or "–",
            v.answer or "–",
            _why(v, [] if alone else remedies),
        ]
        for v in verdicts
    ]
    columns = ["profile", "verdict", "known by", "at", "answer", "why"]
    _matrix(screen, ["target", *columns] if targets else columns, rows)
    if alone and remedies:
        screen.say(f"remedy: {remedies[0]}")
    else:
        _below(screen, "remedies", remedies)
    _below(screen, "notes", _notes(verdicts))
    counts = {word: sum(v.verdict == word for v in verdicts) for word in ("ok", "fails", "unknown")}
    screen.say(", ".join(f"{n} {word}" for word, n in counts.items() if n), style="bold")


def _why(v: Verdict, remedies: Sequence[str]) -> str:
    text = v.reason or "; ".join(v.warnings)
    return f"{text} [remedy {remedies.index(v.remedy) + 1}]" if v.remedy in remedies else text


def _notes(verdicts: Iterable[Verdict]) -> list[str]:
    """What the rows do not say, each once, with those whom it concerns."""
    found: dict[str, list[str]] = {}
    for v in verdicts:
        said = [*v.warnings] if v.reason else []
        if v.handled:
            said.append("the guest got the same answer in the trace and went on: deploy lets it pass")
        for text in said:
            found.setdefault(text, []).append(v.profile)
    return [f"{text} ({_who(list(dict.fromkeys(ids)))})" for text, ids in found.items()]


def _who(ids: list[str]) -> str:
    return ", ".join(ids) if len(ids) <= 3 else counted(len(ids), "profile")


def _below(screen: Screen, title: str, texts: Sequence[str]) -> None:
    if not texts:
        return
    screen.say(f"{title}:")
    for n, text in enumerate(texts, 1):
        for line in folded(text, screen.width, first=f"{n:3}. ", then=" " * 5):
            screen.say(line)


def _matrix(screen: Screen, columns: list[str], rows: list[list[str]]) -> None:
    """One line a row where nothing ends it; a terminal gets the last column folded, below its row if it is narrow."""
    widths = _widths(columns, rows)
    left = sum(widths) + 2 * len(widths)
    if 0 < screen.width < left:
        columns = [*columns[:-3], columns[-1]]
        rows = [[*row[:-3], ": ".join(cell for cell in row[-3:] if cell not in ("", "–"))] for row in rows]
        widths = _widths(columns, rows)
        left = screen.width
    beside = not screen.width or screen.width - left >= NARROW
    heading = [c.ljust(w) for c, w in zip(columns, widths, strict=False)]
    screen.say("  ".join([*heading, *columns[-1:]] if beside else heading).rstrip(), style="bold")
    for row in rows:
        why = visible(row[-1])
        lines = folded(why, screen.width, then=" " * (left if beside else INDENT)) if why else []
        _row(screen, row[:-1], widths, lines.pop(0) if beside and lines else "")
        for line in lines:
            screen.say(line.rstrip())


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Of every column but the last."""
    return [max(len(row[n]) for row in [columns, *rows]) for n in range(len(columns) - 1)]


def _row(screen: Screen, cells: Sequence[str], widths: Sequence[int], last: str) -> None:
    from rich.text import Text

    line = Text()
    for cell, width in zip(cells, widths, strict=True):
        line.append(visible(cell), style=STYLES.get(cell, ""))
        line.append(" " * (width - len(cell) + 2))
    line.append(last.strip())
    line.rstrip()
    screen.out.print(line, soft_wrap=True)
