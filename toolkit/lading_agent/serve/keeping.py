"""Requests about what runs without a connection: detached runs, their logs, their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from lading_agent.errors import AgentError
from lading_agent.keep import detached, runs, service_state, services
from lading_agent.keep.logfile import HOST, LogReader
from lading_agent.serve.apps import which_app

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange

SERVICE = "service"
"""What stands for a service where a run's number may stand."""
POLL_S = 0.1
MOST_LINES = 10**9


def detach(served: Served, exchange: Exchange, app: str) -> Dict[str, Any]:
    """Answer the request ``run`` with ``detach``."""
    fields = exchange.fields
    if fields.flag("stdin"):
        raise AgentError("usage", "a detached run has no standard input", "leave one of them out")
    members = ("args", "env", "release", "threads", "timeout_s", "memory_bytes", "runtime", "allow_unknown")
    request = {name: fields.raw(name) for name in members if fields.raw(name) is not None}
    return detached.start(served, app, request).told()


def logs(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``logs``: output as data of the channels 1 and 2, the host's words as ``log`` events."""
    fields = exchange.fields
    app = which_app(served, fields.optional_text("app"))
    lines = fields.optional_integer("lines", high=MOST_LINES)
    follow = fields.flag("follow")
    shown = _shown(served, app, fields.optional_text("run"))
    exchange.event("log-of", **shown.told())
    reader = LogReader(shown.folder)
    _send(exchange, reader.last_lines(lines), 0)
    while follow:
        exchange.check()
        over = shown.over()
        records, lost = reader.read()
        _send(exchange, records, lost)
        if not records:
            if over:
                break
            time.sleep(POLL_S)
    return shown.told()


class _Shown(NamedTuple):
    folder: Path
    told: Callable[[], Dict[str, Any]]
    over: Callable[[], bool]


def _shown(served: Served, app: str, asked: Optional[str]) -> _Shown:
    layout = served.layout
    if asked is None:
        asked = _default(served, app)
    if asked == SERVICE:
        if service_state.enabled(layout, app) is None:
            raise AgentError("no-such-run", f"no service of {app} is enabled", "lading service enable starts one")
        return _Shown(
            service_state.folder(layout, app),
            lambda: {"run": SERVICE, **services.told(served, app)},
            lambda: not service_state.is_kept(layout, app),
        )
    run = runs.require(layout, app, asked).id
    return _Shown(
        runs.folder(layout, app, run),
        lambda: runs.require(layout, app, run).told(),
        lambda: runs.require(layout, app, run).state == runs.ENDED,
    )


def _default(served: Served, app: str) -> str:
    """What somebody means who names no run: the newest one that goes on, else the service, else the newest one."""
    known = runs.listed(served.layout, app)
    going = [run for run in known if run.state == runs.RUNNING]
    if going:
        return going[0].id
    if service_state.enabled(served.layout, app) is not None:
        return SERVICE
    if known:
        return known[0].id
    raise AgentError("no-such-run", f"{app} has no detached run and no service", "lading run --detach starts one")


def _send(exchange: Exchange, records: List[Tuple[int, bytes]], lost: int) -> None:
    if lost:
        exchange.event("lost", bytes=lost)
    for stream, data in records:
        exchange.check()
        if stream == HOST:
            exchange.event("log", level="warning", text=data.decode("utf-8", "replace").rstrip("\n"))
        else:
            exchange.data(data, stream)


def stop(served: Served, exchange: Exchange) -> Dict[str, Any]:
    """Answer the request ``stop``: end detached runs, and the service until the device's next start."""
    fields = exchange.fields
    app = which_app(served, fields.optional_text("app"))
    asked = fields.optional_text("run")
    if asked is None:
        going = runs.running(served.layout, app)
    elif asked == SERVICE:
        going = []
    else:
        going = [run for run in [runs.require(served.layout, app, asked)] if run.state == runs.RUNNING]
    ended = [run.id for run in going if run.process is not None and run.process.end(detached.STOP_PATIENCE_S)]
    stopped = [runs.require(served.layout, app, run).told() for run in ended]
    service = asked in (None, SERVICE) and services.stop(served, app)
    return {"app": app, "stopped": stopped, "service": service}
