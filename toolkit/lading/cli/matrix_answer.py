"""How the matrix is shown in a terminal: the table, then why a cell is not ``ok``, each reason once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.cli.screen import folded
from lading.variants.matrix import STATES, place_title

if TYPE_CHECKING:
    from pathlib import Path

    from lading.cli.screen import Screen
    from lading.variants.matrix import Cell, Matrix


def show_matrix(screen: Screen, matrix: Matrix, html: Path | None) -> None:
    """Show a matrix: a row for a place, a column for an app."""
    for app in matrix.apps:
        for note in app.notes:
            screen.note(f"{app.title}: {note}", style="yellow")
    titles = [app.title for app in matrix.apps]
    rows = [
        [place_title(place), place.profile.provenance.known_by, *(cell.state for cell in cells)]
        for place, cells in zip(matrix.places, matrix.cells, strict=True)
    ]
    screen.table(["firmware", "known by", *_distinct(titles)], rows)
    for column, title in enumerate(titles):
        told: dict[tuple[str, str], list[str]] = {}
        for place, cells in zip(matrix.places, matrix.cells, strict=True):
            told.setdefault(_told(cells[column]), []).append(place_title(place))
        reasons = [(text, remedy, names) for (text, remedy), names in told.items() if text]
        if reasons:
            screen.say(f"{title}:", style="bold")
        for text, remedy, names in reasons:
            for line in folded(f"{', '.join(names)}: {text}", screen.width, first="  ", then="    "):
                screen.say(line)
            if remedy:
                for line in folded(f"remedy: {remedy}", screen.width, first="    ", then="      "):
                    screen.say(line)
    counts = matrix.counts()
    screen.say(", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]), style="bold")
    if html is not None:
        screen.say(str(html))


def _told(cell: Cell) -> tuple[str, str]:
    if cell.state == "variant":
        return f"{cell.conversion}; without that {cell.reason}", ""
    return f"{cell.reason}; tried: {cell.attempt}" if cell.attempt else cell.reason, cell.remedy


def _distinct(titles: list[str]) -> list[str]:
    """Columns of two apps that have the same name and version are told apart by their number."""
    return [t if titles.count(t) == 1 else f"{t} ({titles[: n + 1].count(t)})" for n, t in enumerate(titles)]
