"""The one console object: results to standard output, everything else to standard error."""

from __future__ import annotations

import errno
import functools
import os
import sys
from typing import TYPE_CHECKING, Literal, TextIO

from lading.cli.streams import abandon, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from lading.errors import LadingError

MIB = 1024 * 1024
UNFOLDED = 4096
"""Columns, more than any table of ours has."""


class Screen:
    """Where a verb writes. With ``--json`` nothing but the document goes to standard output."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @functools.cached_property
    def out(self) -> Console:
        """The console on standard output."""
        # Tables fold where a terminal ends; a pipe or a file has no end, and whoever reads it wants a row in one line.
        width = None if sys.stdout.isatty() else UNFOLDED
        return _console(sys.stdout, width)

    @property
    def width(self) -> int:
        """Columns of the terminal on standard output; 0 when it is none, so that nothing ends a line."""
        return self.out.width if sys.stdout.isatty() else 0

    @functools.cached_property
    def err(self) -> Console:
        """The console on standard error."""
        return _console(sys.stderr)

    @property
    def watched(self) -> bool:
        """Whether somebody looks at standard error: progress is drawn only then."""
        return sys.stderr.isatty() and not self.err.is_dumb_terminal

    def say(self, text: str, style: str = "") -> None:
        """A line of result for people."""
        self.out.print(visible(text, keep="\n"), style=style or None, markup=False)

    def note(self, text: str, style: str = "dim") -> None:
        """A line of ours on standard error."""
        self._tell(visible(f"lading: {text}", keep="\n"), style)

    def log(self, text: str, style: str = "") -> None:
        """One line of a host's log on standard error, whatever a guest or a model brought into it."""
        self._tell(visible(text), style)

    def error(self, error: LadingError, prefix: str = "") -> None:
        """What happened and what to do, on standard error."""
        self.failure(f"error: {prefix}{error.message}", error.remedy)

    def skipped(self, error: LadingError) -> None:
        """What is left out and why, on standard error; the verb goes on with the rest."""
        self._tell(visible(f"lading: left out: {error.message}", keep="\n"), "yellow")
        if error.remedy:
            self._tell(visible(f"  remedy: {error.remedy}", keep="\n"))

    def failure(self, what: str, remedy: str) -> None:
        """What happened and what to do, on standard error."""
        self._tell(visible(f"lading: {what}", keep="\n"), "bold red")
        if remedy:
            self._tell(visible(f"  remedy: {remedy}", keep="\n"))

    def _tell(self, text: str, style: str = "") -> None:
        try:
            self.err.print(text, style=style or None, markup=False)
        except OSError:
            abandon(sys.stderr)  # what could not be said is no reason to fail

    def stacked(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table whose cells are long: on a terminal where it does not fit, a row's cells stand one below the other.

        Args:
            columns: the headings.
            rows: one string a column; the first is the row's name.
        """
        if not self.width or _room(columns, rows) <= self.width:
            self.table(columns, rows)
            return
        self._stack(columns, rows)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "", right: Sequence[str] = ()
    ) -> None:
        """A table that stays readable on a dumb terminal and in a pipe.

        Args:
            columns: the headings.
            rows: one string a column; Rich markup is not interpreted.
            title: a line above it.
            right: headings of the columns that are aligned to the right.
        """
        from rich import box
        from rich.table import Table
        from rich.text import Text

        lines = [[visible(cell) for cell in row] for row in rows]
        gap, widths = _fitting(columns, lines, right, self.width)
        if widths is None:
            if title:
                self.say(title, style="italic")
            self._stack(columns, lines)
            return
        table = Table(
            title=Text(visible(title), style="italic") if title else None,  # a plain string would be markup
            title_justify="left",
            box=box.SIMPLE_HEAD,
            pad_edge=False,
            padding=(0, 1) if gap == WIDE else (0, 1, 0, 0),
        )
        for n, column in enumerate(columns):
            # What stands first is the name that the reader will write somewhere: it stays in one piece.
            justify: Literal["left", "right"] = "right" if column in right else "left"
            table.add_column(column, justify=justify, overflow="fold", no_wrap=n == 0, width=widths[n] or None)
        for line in lines:
            table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line))
        if sys.stdout.isatty():
            self.out.print(table, soft_wrap=False)
            return
        with self.out.capture() as drawn:
            self.out.print(table, soft_wrap=True)
        sys.stdout.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))

    def _stack(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        label = max(map(len, columns[1:]), default=0)
        for row in rows:
            self.say(row[0], style="bold")
            for heading, cell in zip(columns[1:], row[1:], strict=True):
                if not heading and not cell:
                    continue
                begin, then = f"  {heading.ljust(label)}  ", " " * (label + 4)
                for line in folded(visible(cell), self.width, first=begin, then=then):
                    self.say(line)


WIDE, NARROW = 3, 2
"""Columns of a terminal between two columns of a table."""
_EDGES = 2


def _fitting(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str], width: int
) -> tuple[int, list[int] | None]:
    """How far the columns of a table stand apart on a terminal, and how wide each is, so that no word is broken.

    None: there is no room for that. Numbers, which stand to the right, and names, which come first, stay whole.
    """

    def longest(n: int, *, whole: bool) -> int:
        cells = [columns[n], *(row[n] for row in rows)]
        return max((len(part) for cell in cells for part in ([cell] if whole else cell.split())), default=0)

    needed = [longest(n, whole=True) for n in range(len(columns))]
    if not width or sum(needed) + WIDE * (len(columns) - 1) + _EDGES <= width:
        return WIDE, [0] * len(columns)
    widths = [longest(n, whole=n == 0 or columns[n] in right) for n in range(len(columns))]
    for gap in (WIDE, NARROW):
        room = width - sum(widths) - gap * (len(columns) - 1) - _EDGES
        if room < 0:
            continue
        for _ in range(room):
            poorest = max(range(len(columns)), key=lambda n: needed[n] - widths[n])
            if needed[poorest] > widths[poorest]:
                widths[poorest] += 1
        return gap, widths
    return NARROW, None


def _console(file: TextIO, width: int | None = None) -> Console:
    from rich.console import Console

    class OurConsole(Console):
        """Rich's own ends the process with a status of its own when nobody reads on."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return OurConsole(file=file, highlight=False, soft_wrap=True, width=width)


def _room(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Columns of a terminal that a table needs when nothing in it is folded."""
    return sum(max(len(row[n]) for row in [columns, *rows]) + 2 for n in range(len(columns)))


STYLES = {
    "ok": "green",
    "fails": "red",
    "failed": "red",
    "unknown": "yellow",
    "variant": "yellow",
    "current": "bold green",
    "measured": "green",
    "declared": "cyan",
    "inferred": "yellow",
}
"""Words that carry a colour wherever they fill a cell."""


def duration(seconds: float) -> str:
    """Seconds for people: ``12 µs``, ``3.4 ms``, ``5.6 s``."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    return f"{seconds:.1f} s"


def folded(text: str, width: int, *, then: str, first: str | None = None) -> list[str]:
    """The text in lines of a terminal, broken at words; in one line where there is no terminal.

    Args:
        text: one paragraph.
        width: the terminal's columns, or 0.
        then: what stands before every line but the first.
        first: what stands before the first, if it is not ``then``.
    """
    import textwrap

    begin = then if first is None else first
    if not width:
        return [begin + text]
    room = max(width, len(then) + 20)
    return textwrap.wrap(text, room, initial_indent=begin, subsequent_indent=then, break_on_hyphens=False) or [begin]


def counted(number: int, thing: str) -> str:
    """A number of things: ``1 blob``, ``2 blobs``."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
