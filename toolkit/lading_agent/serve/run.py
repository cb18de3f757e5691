"""Running an app's release, its streams and events going to the client as they come."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, Dict, Optional

from lading_agent.errors import Cancelled
from lading_agent.runs import supervise
from lading_agent.serve import guest, keeping
from lading_agent.serve.apps import which_app
from lading_agent.serve.device import STDIN_WINDOW, Served
from lading_agent.serve.wanted import hold, spec_of
from lading_agent.store.blobs import is_intact
from lading_agent.store.releases import Release, Releases
from lading_agent.wire.frames import DATA, STDERR, STDOUT, TENSOR

if TYPE_CHECKING:
    from lading_agent.runs.result import RunResult
    from lading_agent.runs.spec import RunSpec
    from lading_agent.serve.exchange import Exchange

DOUBTED_BYTES = 32 * 1024 * 1024
"""How much content is read again after a guest ended with another status than 0."""
STDIN_CHUNK = STDIN_WINDOW // 4


def run(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``run``."""
    fields = exchange.fields
    app = which_app(served, fields.optional_text("app"))
    if fields.flag("detach") and fields.raw("guest") is None:
        return keeping.detach(served, exchange, app)
    releases = Releases(served.layout, app)
    asked = fields.optional_text("release")
    with contextlib.ExitStack() as stack:
        release = hold(served, releases, asked, stack)
        bill = releases.bill(release.id)
        if fields.raw("guest") is not None:
            spec = guest.spec_of(served, exchange, bill, release, stack)
        else:
            spec = spec_of(served, fields, bill, release)
        exchange.event("started", app=app, release=release.id, variant=release.variant)
        result = _supervised(served, exchange, spec)
        if result.status:
            _tell_damage(served, exchange, release, result)
        return {"app": app, "release": release.id, **result.to_json()}


def _tell_damage(served: Served, exchange: Exchange, release: Release, result: RunResult) -> None:
    """A run that went wrong may owe it to a medium that lost a bit: content that is not what it was is named.

    A guest that ended by itself may mean its status: then not more is read than a moment bears.
    """
    if result.outcome == "exit" and sum(release.blobs.values()) > DOUBTED_BYTES:
        return
    for digest in release.blobs:
        if exchange.cancelled:
            return
        if not is_intact(served.layout, digest):
            text = f"content of {release.app} {release.id} is damaged on the device ({digest}): push it with --force"
            exchange.event("log", level="error", text=text)


def _supervised(served: Served, exchange: Exchange, spec: RunSpec) -> RunResult:
    stdin = _Stdin(exchange) if exchange.fields.flag("stdin") else None
    try:
        return supervise.run(
            spec,
            stdin=stdin.fd if stdin is not None else None,
            on_stdout=lambda data: exchange.data(data, STDOUT),
            on_stderr=lambda data: exchange.data(data, STDERR),
            on_report=lambda event: _forward(exchange, event),
            should_stop=lambda: exchange.cancelled,
            command=served.runner,
            gather=stdin is None,
        )
    finally:
        if stdin is not None:
            stdin.close()


def _forward(exchange: Exchange, event: Dict[str, Any]) -> None:
    """Pass on a report event; a tensor's bytes leave their base64 and follow as data."""
    name = event.pop("event")
    data: Optional[bytes] = None
    if name == "tensor":
        try:
            data = base64.b64decode(event.pop("data", ""), validate=True)
        except (binascii.Error, TypeError, ValueError):
            exchange.event("log", level="warning", text="a tensor of the runner's report is damaged")
            return
        event["bytes"] = len(data)
    exchange.event(str(name), **event)
    if data:
        exchange.data(data, TENSOR)


class _Stdin:
    """Moves what the client sends to the guest's standard input; an empty data frame ends it.

    The client sends no more than the window at once, and is told of what the guest took: a guest that does not read
    never stops the connection.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.fd, self._write_fd = os.pipe()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="run-stdin", daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        try:
            with os.fdopen(self._write_fd, "wb", 0) as pipe:
                while True:
                    frame = self._exchange.receive()
                    if frame.kind != DATA:
                        continue
                    if not frame.payload:
                        return
                    view = memoryview(frame.payload)
                    while view:
                        view = view[pipe.write(view) or 0 :]
                    self._exchange.event("stdin-credit", bytes=len(frame.payload))
        except (Cancelled, BrokenPipeError):
            return

    def close(self) -> None:
        """The run is over: wake the feeder up, wherever it waits."""
        with contextlib.suppress(OSError):
            os.close(self.fd)
        self._exchange.no_more()
        self._thread.join()
