"""The process that keeps a service: starts the current release, starts it again when it fails, follows a deploy.

It does so in the same way whatever started it. A release that was just switched to and fails three times in a row at
its start is gone back from.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import goback, guest, pending, processes, service_state
from lading_agent.keep.detached import stop_signals
from lading_agent.keep.logfile import LogWriter
from lading_agent.keep.service_state import FINISHED, RUNNING, STOPPED, WAITING, ServiceStatus
from lading_agent.runs.result import RunResult
from lading_agent.store.lock import GOING_BACK, locked
from lading_agent.store.releases import Releases, now

if TYPE_CHECKING:
    from lading_agent.serve.device import Served

POLL_S = 0.2


@dataclass(frozen=True)
class Pace:
    """How patient a service's loop is. Times in seconds."""

    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    stable_s: float = 60.0
    """A guest that ran this long stood: waiting begins at the first wait again."""
    failures: int = 3
    """So many failed starts in a row of what was just switched to, and the device goes back."""

    def wait_s(self, failures: int) -> float:
        """How long to wait after so many failures in a row."""
        return float(min(self.longest_wait_s, self.first_wait_s * 2 ** min(max(failures - 1, 0), 30)))


def start(served: Served, app: str) -> None:
    """Start the loop of a service, to go on without us.

    Raises:
        AgentError: it cannot be.
    """
    processes.launch([*served.own_words("service"), "--app", app], served.surroundings.environment, {"detach": True})


def keep(served: Served, app: str, *, detach: bool, pace: Optional[Pace] = None) -> int:
    """Be that process, until it is asked to end.

    Args:
        served: the device.
        app: the app.
        detach: an agent started us, and does not wait for us.
        pace: how patient to be.

    Returns:
        An exit status.
    """
    if detach:
        processes.detach()
    stop = stop_signals()
    if not service_state.folder(served.layout, app).is_dir():
        processes.say({"error": AgentError("device", f"no service of {app} is enabled", "enable it").to_json()})
        return 1
    ours = service_state.take(served.layout, app)
    if ours is None:
        processes.say({"service": "already"})
        return 0
    try:
        loop = _Loop(served, app, stop, pace or Pace())
        processes.say({"service": "started"})
        loop.run()
    finally:
        os.close(ours)
    return 0


class _Loop:
    def __init__(self, served: Served, app: str, stop: Callable[[], bool], pace: Pace) -> None:
        self._served = served
        self._app = app
        self._stop = stop
        self._pace = pace
        self._releases = Releases(served.layout, app)
        self._log = LogWriter(service_state.folder(served.layout, app))
        before = service_state.read(served.layout, app)
        self._status = ServiceStatus(
            WAITING,
            processes.myself(),
            release=before.release if before else None,
            trial=before.trial if before else None,
            stood=before.stood if before else None,
            failures=before.failures if before and before.trial else 0,
            last_exit=before.last_exit if before else None,
        )
        self._became(WAITING)
        self._looked = 0.0
        self._seen: Optional[str] = None

    def run(self) -> None:
        """Start the guest again and again."""
        try:
            while not self._stop():
                self._once()
        finally:
            self._became(STOPPED)
            self._log.close()

    def _once(self) -> None:
        release = self._releases.current()
        if release != self._status.release:
            self._switched(release)
        begin = time.monotonic()
        with contextlib.ExitStack() as stack:
            try:
                # By its name: what the loop judges afterwards is what it ran.
                held = guest.prepare(self._served, self._app, {"release": release}, stack, endless=True)
            except (AgentError, OSError) as error:
                result = _cannot(error)
            else:
                self._became(RUNNING)
                result = guest.run(self._served, held, self._log, lambda: self._stop() or self._changed(release))
        ran_s = time.monotonic() - begin
        self._log.flush()
        if self._stop():
            self._note(release, result, ran_s)
        elif result.kind == "stopped" and self._changed(release):
            self._log.say("another release is current: starting it")
        else:
            self._ended(release, result, ran_s)

    def _switched(self, release: Optional[str]) -> None:
        """The current release is another one than the loop saw last, be it in an earlier life."""
        first = self._status.release is None
        self._status = replace(
            self._status, release=release, failures=0, trial=None if first else release, restarts=self._status.restarts
        )

    def _changed(self, release: Optional[str]) -> bool:
        moment = time.monotonic()
        if moment - self._looked >= POLL_S:
            self._looked = moment
            self._seen = self._releases.current()
        return self._seen is not None and self._seen != release

    def _note(self, release: Optional[str], result: RunResult, ran_s: float) -> None:
        last = {**result.to_json(), "at": now(), "release": release, "ran_s": round(ran_s, 3)}
        self._status = replace(self._status, last_exit=last)

    def _ended(self, release: Optional[str], result: RunResult, ran_s: float) -> None:
        self._note(release, result, ran_s)
        stood = result.status == 0 or ran_s >= self._pace.stable_s
        failures = 0 if result.status == 0 else 1 if stood else self._status.failures + 1
        self._status = replace(
            self._status,
            failures=failures,
            stood=release if stood else self._status.stood,
            trial=None if stood else self._status.trial,
        )
        if result.status == 0:
            self._became(FINISHED)
            self._wait(release, None)
            return
        why = f"{result.kind}: {result.message}" if result.message else f"{result.kind}, status {result.status}"
        self._log.say(f"ended after {ran_s:.1f} s: {why}")
        if failures >= self._pace.failures and self._go_back(release, failures, why):
            return
        wait_s = self._pace.wait_s(failures)
        self._status = replace(self._status, restarts=self._status.restarts + 1)
        self._became(WAITING, wait_s)
        self._wait(release, wait_s)

    def _go_back(self, release: Optional[str], failures: int, why: str) -> bool:
        """Whether the device went back to the release that was there before."""
        found = pending.read(self._served.layout, self._app)
        on_probation = found is not None and found.release == release
        if not on_probation and self._status.trial != release:
            return False
        try:
            with locked(self._served.layout.lock, goback.DEVICE, GOING_BACK):
                if self._releases.current() != release:
                    return True  # somebody was quicker
                text = f"its service failed {failures} times in a row at its start ({why})"
                to = goback.go_back(self._served, self._app, pending.read(self._served.layout, self._app), text)
        except (AgentError, OSError):
            return False  # somebody is at work: after the next failure again
        if to is None:
            self._status = replace(self._status, trial=None)
            return False
        self._log.say(f"{text}: back to {to}")
        # What the device goes back to is not on trial: there would be no end to going back.
        self._status = replace(self._status, release=to, failures=0, trial=None, restarts=self._status.restarts + 1)
        return True

    def _wait(self, release: Optional[str], wait_s: Optional[float]) -> None:
        """Wait a while, or until another release is current or somebody wants the end."""
        until = None if wait_s is None else time.monotonic() + wait_s
        while not self._stop() and not self._changed(release):
            left = POLL_S if until is None else until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(POLL_S, left))

    def _became(self, state: str, wait_s: float = 0.0) -> None:
        self._status = replace(
            self._status, state=state, wait_s=wait_s, since=now(), since_s=self._served.surroundings.clock()
        )
        # On a full disk the service goes on; what is told of it is old.
        with contextlib.suppress(OSError):
            service_state.write(self._served.layout, self._app, self._status)


def _cannot(error: Exception) -> RunResult:
    if isinstance(error, AgentError):
        return RunResult("failed", 126, error.code, error.message, error.remedy)
    return RunResult("failed", 125, "runner-failed", str(error))
