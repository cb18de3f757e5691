"""Progress bars on standard error, where somebody looks at it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from lading.cli.streams import visible

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from lading.cli.screen import Screen


class Bars:
    """One bar a name; does nothing unless standard error is a terminal. Safe to call from several threads."""

    def __init__(self, screen: Screen) -> None:
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()
        if screen.watched:
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
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
        self._progress.update(self._tasks[name], completed=done, total=total)
