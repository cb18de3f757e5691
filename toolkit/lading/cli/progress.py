"""Progress bars on standard error, where somebody looks at it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from lading.cli.streams import visible

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from lading.cli.screen import Screen


BAR = 20
"""Columns of a bar."""
NUMBERS = 28
"""Columns that its numbers take: ``123.4/567.8 MB 123.4 kB/s``, and the gaps."""


class Bars:
    """One bar a name, until it is done; does nothing unless standard error is a terminal.

    Safe to call from several threads.
    """

    def __init__(self, screen: Screen) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        if screen.watched:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
            from rich.table import Column

            # Where it gets narrow the name is cut short: a bar stays one line.
            self._progress = Progress(
                TextColumn(
                    "{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=_room(screen))
                ),
                BarColumn(BAR, table_column=Column(no_wrap=True)),
                DownloadColumn(table_column=Column(no_wrap=True)),
                TransferSpeedColumn(table_column=Column(no_wrap=True)),
                console=screen.err,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, name: str, done: int, total: int) -> None:
        """Move the bar called ``name`` to ``done`` of ``total`` bytes, making it at its first call."""
        if self._progress is None:
            return
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task(visible(name), total=total)
        self._progress.update(self._tasks[name], completed=done, total=total, visible=done < total)


def _room(screen: Screen) -> int:
    """Columns that are left for a bar's name."""
    return max(10, screen.err.width - BAR - NUMBERS)
