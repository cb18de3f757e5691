"""The process that keeps one detached run."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping

from lading_agent.errors import AgentError, from_os_error
from lading_agent.keep import guest, processes, runs
from lading_agent.keep.logfile import LogWriter
from lading_agent.store.releases import now

if TYPE_CHECKING:
    from lading_agent.serve.device import Served

STOP_PATIENCE_S = 10.0
"""How long a keeping process may take to end before it is killed."""


def start(served: Served, app: str, request: Mapping[str, Any]) -> runs.KeptRun:
    """Start a run that goes on without us.

    Args:
        served: the device.
        app: the app.
        request: the members of the request ``run``.

    Raises:
        AgentError: it cannot be run.
    """
    run = runs.reserve(served.layout, app)
    try:
        processes.launch(
            [*served.own_words("detached"), "--app", app, "--run", run], served.surroundings.environment, request
        )
    except BaseException:
        runs.discard(served.layout, app, run)
        raise
    return runs.require(served.layout, app, run)


def keep(served: Served, app: str, run: str) -> int:
    """Be that process: the request is on standard input.

    Returns:
        An exit status.
    """
    request: Dict[str, Any] = json.loads(sys.stdin.buffer.read())
    processes.detach()
    stop = stop_signals()
    with contextlib.ExitStack() as stack:
        try:
            held = guest.prepare(served, app, request, stack, endless=False)
            args: List[str] = list(held.spec.args)
            record = runs.KeptRun(run, app, held.release.id, runs.RUNNING, now(), args, processes.myself())
            runs.write(served.layout, record)
        except AgentError as error:
            processes.say({"error": error.to_json()})
            return 1
        except OSError as error:
            processes.say({"error": from_os_error(error, "the run cannot be written down").to_json()})
            return 1
        log = LogWriter(runs.folder(served.layout, app, run))
        processes.say({"run": run})
        result = guest.run(served, held, log, stop)
        log.close()
        ended = replace(record, state=runs.ENDED, ended=now(), **result.to_json())
        with contextlib.suppress(OSError):  # without room it is taken for a keeper that died, which ends it as well
            runs.write(served.layout, ended)
    return 0


def stop_signals() -> Callable[[], bool]:
    """Whether somebody asked this process to end.

    Handlers, not signals that are ignored: those would be ignored by the guest's process, too.
    """
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked.set())
    return asked.is_set
