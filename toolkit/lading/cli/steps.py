"""What goes on during something that takes seconds and does not know how many: a line for each step, and the time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lading.cli.streams import visible

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

    from lading.cli.screen import Screen


class Steps:
    """Steps of one piece of work on standard error.

    On a terminal the step that goes on moves, with the seconds that it has taken; elsewhere each step is one line.
    With ``--json`` nothing is said.
    """

    def __init__(self, screen: Screen, subject: str) -> None:
        self._screen = screen
        self._subject = subject
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        if screen.watched and not screen.as_json:
            from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
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

    def say(self, text: str) -> None:
        """The next step begins."""
        line = f"{self._subject}: {text}"
        if self._progress is None:
            if not self._screen.as_json:
                self._screen.note(line)
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(visible(line), total=None)
