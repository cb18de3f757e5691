"""The client's side of a run: events out of frames, standard input into them, Ctrl-C to the guest."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from typing import TYPE_CHECKING, Any, Final

from lading.client.events import Event, Log, Metric, Output, Started, Tensor
from lading.client.results import RunResult
from lading.client.said import decoded, items, number, wrong
from lading.errors import LadingError
from lading_agent.wire.frames import MESSAGE, STDERR, STDIN, STDOUT, TENSOR

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import BinaryIO

    from lading.client.call import Call
    from lading.client.connection import Connection
    from lading_agent.wire.frames import Frame

STDIN_WINDOW: Final = 64 * 1024
"""Octets of standard input in flight, unless the agent's hello allows more."""
READ: Final = 16 * 1024
MAX_TENSOR: Final = 1024**3
"""No tensor is larger: whoever says so wants our memory."""


def request(
    app: str | None,
    args: Sequence[str] | None,
    env: Mapping[str, str] | None,
    release: str | None,
    timeout_s: float | None,
    memory_bytes: int | None,
    threads: int | None,
    *,
    runtime: str | None = None,
    allow_unknown: bool = False,
) -> dict[str, Any]:
    """The members of the request ``run``."""
    return {
        "app": app,
        "args": None if args is None else list(args),
        "env": dict(env or {}),
        "release": release,
        "timeout_s": timeout_s,
        "memory_bytes": memory_bytes,
        "threads": threads,
        "runtime": runtime,
        "allow_unknown": allow_unknown,
    }


def run(
    connection: Connection,
    request: Mapping[str, Any],
    stdin: int | bytes | BinaryIO | None,
    on_event: Callable[[Event], None] | None,
    guest: bytes | None = None,
) -> RunResult:
    """Run an app's release, or a ``guest`` of ours among its models; see ``Session.run`` and ``Session.run_guest``."""
    ours = {} if guest is None else {"guest": len(guest)}
    with connection.call("run", {**request, **ours, "stdin": stdin is not None}) as call:
        if guest is not None:
            call.data(guest)
        connection.round_trips += 1
        feeder = None
        if stdin is not None:
            window = connection.hello.limits.get("stdin", STDIN_WINDOW)
            feeder = _Feeder(call, stdin, window)
        events = _Events(on_event, feeder)
        try:
            _drain(call, events)
        except KeyboardInterrupt:
            # The guest is stopped and the device left in order before the user's Ctrl-C goes on; a second one is final.
            with contextlib.suppress(LadingError):
                call.cancel()
                _drain(call, events)
            raise
        finally:
            if feeder is not None:
                feeder.stop()
        return RunResult.from_json(call.reply)


def _drain(call: Call, events: _Events) -> None:
    for frame in call:
        events.take(frame)


class _Events:
    """Turns frames into events."""

    def __init__(self, on_event: Callable[[Event], None] | None, feeder: _Feeder | None) -> None:
        self._on_event = on_event
        self._feeder = feeder
        self._tensor: dict[str, Any] | None = None
        self._tensor_data = bytearray()

    def take(self, frame: Frame) -> None:
        if frame.kind == MESSAGE:
            self._message(decoded(frame.payload))
        elif frame.channel in (STDOUT, STDERR):
            self._tell(Output(frame.channel, frame.payload))
        elif frame.channel == TENSOR and self._tensor is not None:
            self._tensor_data += frame.payload
            self._end_tensor()

    def _message(self, message: dict[str, Any]) -> None:
        name = message.pop("event", "")
        if name == "stdin-credit" and self._feeder is not None:
            self._feeder.credit(number(message, "bytes", 0))
        elif name == "started":
            self._tell(Started(str(message.get("app", "")), str(message.get("release", ""))))
        elif name == "log":
            self._tell(Log(str(message.get("level", "info")), str(message.get("text", ""))))
        elif name == "metric":
            self._tell(Metric(message))
        elif name == "tensor":
            if number(message, "bytes", 0) > MAX_TENSOR:
                raise wrong(f"a tensor of {message['bytes']} bytes")
            self._tensor, self._tensor_data = message, bytearray()
            self._end_tensor()

    def _end_tensor(self) -> None:
        head = self._tensor
        if head is None or len(self._tensor_data) < number(head, "bytes", 0):
            return
        self._tensor = None
        self._tell(
            Tensor(
                model=str(head.get("model", "")),
                output=str(head.get("output", "")),
                index=number(head, "index", 0),
                step=number(head, "step", 0),
                dtype=str(head.get("dtype", "")),
                shape=tuple(_extent(extent) for extent in items(head, "shape")),
                data=bytes(self._tensor_data),
            )
        )

    def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _extent(value: Any) -> int:
    return number({"extent": value}, "extent")


class _Feeder:
    """Sends standard input as the guest takes it, from a thread of its own."""

    def __init__(self, call: Call, source: int | bytes | BinaryIO, window: int) -> None:
        self._call = call
        self._source = source
        self._credit = window
        self._changed = threading.Condition()
        self._stopped = False
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._feed, name="stdin", daemon=True)
        self._thread.start()

    def credit(self, octets: int) -> None:
        """The guest took some."""
        with self._changed:
            self._credit += octets
            self._changed.notify_all()

    def stop(self) -> None:
        """The run is over."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        os.write(self._wake_write, b"x")
        # A file object may sit in a read that nothing ends: it is left to itself then.
        self._thread.join(0.2)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _feed(self) -> None:
        with contextlib.suppress(LadingError, OSError, ValueError):  # whoever reads the answers hears of it
            if isinstance(self._source, bytes):
                self._send(self._source)
            else:
                while not self._stopped and (data := self._read()):
                    self._send(data)
            if not self._stopped:
                self._call.data(b"", STDIN)

    def _read(self) -> bytes:
        """The next bytes; none at the end, or when the run is over."""
        assert not isinstance(self._source, bytes)
        try:
            fd = self._source if isinstance(self._source, int) else self._source.fileno()
        except (OSError, AttributeError):
            assert not isinstance(self._source, int)
            return self._source.read(READ)
        try:
            ready, _, _ = select.select([fd, self._wake_read], [], [])
        except ValueError:  # a descriptor that select cannot watch
            return b""
        if self._wake_read in ready:
            return b""
        return os.read(fd, READ)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            with self._changed:
                while self._credit <= 0 and not self._stopped:
                    self._changed.wait()
                if self._stopped:
                    return
                step = min(self._credit, len(view), READ)
                self._credit -= step
            self._call.data(bytes(view[:step]), STDIN)
            view = view[step:]
