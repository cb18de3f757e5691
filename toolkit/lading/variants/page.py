"""The matrix as one HTML page that needs nothing else: no network, no file beside it.

Everything that comes from projects and profiles is escaped, and the page's policy lets nothing run but the one script
that belongs to it.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.variants.matrix import STATES, place_title

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.check import Place
    from lading.variants.matrix import App, Cell, Matrix

WORDS: Final = {"ok": "ok", "variant": "as a variant", "unknown": "unknown", "fails": "fails"}

_NOTES: Final = {
    "ok": "The guest and its models run as they are.",
    "variant": "They run, converted: push and deploy send the variant.",
    "unknown": "Nobody knows, or data would be lost.",
    "fails": "It does not run there, whatever is done.",
}


def page(matrix: Matrix) -> str:
    """The page."""
    style, script = _beside("page.css"), _beside("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    title = f"What runs where: {', '.join(app.title for app in matrix.apps)}"
    counts = matrix.counts()
    legend = "".join(
        f'<li class="{state}" title="{escape(_NOTES[state])}">{counts[state]} {escape(WORDS[state])}</li>'
        for state in STATES
    )
    headings = "".join(_heading(text) for text in ("firmware", *(app.title for app in matrix.apps)))
    rows = "".join(_row(matrix, number, place) for number, place in enumerate(matrix.places))
    details = "".join(
        _details(f"cell-{row}-{column}", matrix.places[row], matrix.apps[column], cell)
        for row, cells in enumerate(matrix.cells)
        for column, cell in enumerate(cells)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<p>Foretold by <code>lading matrix</code> from one run of each guest and what is known of each firmware.
Choose a cell to see why, and what to do; a heading to sort.</p>
<ul class="legend">{legend}</ul>
<div class="scroll"><table>
<thead><tr>{headings}</tr></thead>
<tbody>{rows}</tbody>
</table></div>
<dialog aria-label="Why"><div class="content"></div><button class="close" type="button">Close</button></dialog>
{details}
<script>{script}</script>
</body>
</html>
"""


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _text(text: str) -> str:
    """Text for the page: nothing in it is markup, and what cannot be seen is shown."""
    return escape("".join(c if c.isprintable() or c == " " else "\N{REPLACEMENT CHARACTER}" for c in text))


def _heading(text: str) -> str:
    return f'<th scope="col"><button type="button">{_text(text)}</button></th>'


def _row(matrix: Matrix, number: int, place: Place) -> str:
    cells = "".join(
        f'<td data-sort="{STATES.index(cell.state)}"><button type="button" class="{cell.state}" '
        f'data-cell="cell-{number}-{column}" aria-haspopup="dialog">{escape(WORDS[cell.state])}</button></td>'
        for column, cell in enumerate(matrix.cells[number])
    )
    name = place_title(place)
    known = f"{place.profile.title} – {place.profile.provenance.known_by}"
    head = f'<th scope="row" data-sort="{_text(name)}">{_text(name)}<small>{_text(known)}</small></th>'
    return f'<tr data-row="{number}">{head}{cells}</tr>\n'


def _details(identifier: str, place: Place, app: App, cell: Cell) -> str:
    rows: Iterable[tuple[str, str]] = (
        ("verdict", WORDS[cell.state]),
        ("variant", f"{cell.variant}: {cell.conversion}" if cell.state == "variant" else ""),
        ("without it" if cell.state == "variant" else "why", cell.reason),
        ("instead of a variant" if cell.state == "variant" else "remedy", cell.remedy),
        ("tried", cell.attempt),
        ("notes", "; ".join(cell.verdict.warnings) if cell.state != "ok" else ""),
        ("known by", cell.verdict.known_by),
    )
    told = "".join(f"<dt>{escape(name)}</dt><dd>{_text(text)}</dd>" for name, text in rows if text)
    title = _text(f"{app.title} on {place_title(place)}")
    return f'<template id="{identifier}"><h2>{title}</h2><dl>{told}</dl></template>\n'
