"""A guest's output on its way to the user: passed through as it comes, or kept for one JSON document."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from lading.cli.answer import CannotWrite, text_or_base64

if TYPE_CHECKING:
    from lading.cli.screen import Screen
    from lading.client import Event


class GuestOutput:
    """Takes a run's streams. Without ``--json`` bytes go out unchanged; the host's log goes to standard error.

    Args:
        screen: the verb's screen.
        prefix: put before each line of guest output when several devices run at once.
        tensors: show each tensor that a streaming guest computes.
        quiet: keep everything, show nothing.
    """

    def __init__(self, screen: Screen, *, prefix: str = "", tensors: bool = False, quiet: bool = False) -> None:
        self._screen = screen
        self._quiet = quiet or screen.as_json
        self._prefix = prefix.encode()
        self._show_tensors = tensors
        self._pending = {1: b"", 2: b""}
        self._lock = threading.Lock()
        self._kept: dict[int, list[bytes]] = {1: [], 2: []}
        self.log: list[dict[str, Any]] = []
        self.tensors: list[dict[str, Any]] = []
        self.golden: list[dict[str, Any]] = []

    def stdout(self, data: bytes) -> None:
        """Bytes from the guest's standard output."""
        self._stream(1, data)

    def stderr(self, data: bytes) -> None:
        """Bytes from the guest's standard error."""
        self._stream(2, data)

    def report(self, event: dict[str, Any]) -> None:
        """A report line of the runner (see ``lading_agent.runs.report``)."""
        kind = event.get("event")
        if kind == "log":
            self.log.append({"level": event.get("level"), "text": event.get("text")})
            style = {"error": "red", "warning": "yellow"}.get(str(event.get("level")))
            if style and not self._quiet:
                self._screen.log(f"[host] {event.get('text')}", style=style)
        elif kind == "tensor":
            self.tensors.append({key: value for key, value in event.items() if key not in {"event", "data"}})
            if self._show_tensors and not self._quiet:
                shape = "x".join(str(extent) for extent in event.get("shape", ()))
                text = f"[step {event.get('step')}] {event.get('output')}: {event.get('dtype')} {shape}"
                self._screen.log(text, style="cyan")
        elif kind == "golden":
            self.golden.append({key: value for key, value in event.items() if key != "event"})

    def take(self, event: Event) -> None:
        """An event of a run on a device."""
        from lading.client.events import Log, Output, Tensor

        if isinstance(event, Output):
            self._stream(event.stream, event.data)
        elif isinstance(event, Log):
            self.report({"event": "log", "level": event.level, "text": event.text})
        elif isinstance(event, Tensor):
            self.report({"event": "tensor", **event.__dict__, "shape": list(event.shape)})

    def close(self) -> None:
        """Let go of a last line without a line end."""
        for stream in (1, 2):
            if self._pending[stream]:
                self._write(stream, self._prefix + self._pending[stream] + b"\n")
                self._pending[stream] = b""

    def document(self) -> dict[str, Any]:
        """What a JSON document says of the guest's output."""
        return {
            **text_or_base64("stdout", b"".join(self._kept[1])),
            **text_or_base64("stderr", b"".join(self._kept[2])),
            "log": self.log,
            "tensors": self.tensors,
        }

    def _stream(self, stream: int, data: bytes) -> None:
        if self._quiet:
            self._kept[stream].append(data)
        elif not self._prefix:
            self._write(stream, data)
        else:
            *lines, rest = (self._pending[stream] + data).split(b"\n")
            self._pending[stream] = rest
            self._write(stream, b"".join(self._prefix + line + b"\n" for line in lines))

    def _write(self, stream: int, data: bytes) -> None:
        with self._lock:
            file = sys.stdout if stream == 1 else sys.stderr
            try:
                file.flush()
                file.buffer.write(data)
                file.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise CannotWrite(stream, error) from None


def standard_input() -> int | None:
    """The descriptor of standard input, or ``None`` where it is closed."""
    import os

    try:
        os.fstat(0)
    except OSError:
        return None
    return 0
