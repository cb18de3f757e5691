"""What a verb shows while a device is set up that it meets for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from lading import contact

if TYPE_CHECKING:
    from types import TracebackType

    from lading.bootstrap.stages import Stage
    from lading.cli.progress import Bars
    from lading.cli.screen import Screen


class FirstContact:
    """Notes each stage, and draws a bar for what takes long. Shows nothing where a device has everything.

    Args:
        screen: where to; with ``--json`` nothing is shown.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._told = ""
        self._bars: Bars | None = None
        self._drawn = True

    def __enter__(self) -> Self:
        contact.listen(None if self._screen.as_json else self._take)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        contact.listen(None)
        self._stop()

    def _take(self, device: str, stage: Stage) -> None:
        if stage.text != self._told:
            self._told = stage.text
            self._screen.note(f"{device}: {stage.text}")
        if stage.done < stage.total:
            self._draw(device, stage)
        else:
            self._stop()

    def _draw(self, device: str, stage: Stage) -> None:
        if not self._screen.watched or not self._drawn:
            return
        if self._bars is None:
            from rich.errors import LiveError

            from lading.cli.progress import Bars

            bars = Bars(self._screen)
            try:
                bars.__enter__()
            except LiveError:  # the verb draws something of its own
                self._drawn = False
                return
            self._bars = bars
        self._bars.update(device, stage.done, stage.total)

    def _stop(self) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.__exit__(None, None, None)
