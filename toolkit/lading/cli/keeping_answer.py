"""How detached runs, services and unconfirmed releases are told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading.cli.run_answer import metrics_line
from lading.cli.screen import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.cli.screen import Screen

_HOW = {"systemd": "with systemd", "cron": "with cron", "agent": "when somebody connects"}


def say_detached(screen: Screen, run: Mapping[str, Any], device: str) -> None:
    """A run has begun that goes on without us."""
    screen.say(f"{run['app']} {run['release']} runs on {device} as run {run['run']} (process {run['pid']})")
    screen.note(f"`lading logs -f {device} {run['app']}` shows its output, `lading stop {device} {run['app']}` ends it")


def say_kept_end(screen: Screen, run: Mapping[str, Any]) -> None:
    """How a run that was followed has ended."""
    if run.get("state") != "ended":
        return
    if run["outcome"] != "exit":
        screen.failure(f"{run['kind']}: {run['message']}", run["remedy"])
    if line := metrics_line(run["metrics"]):
        screen.note(line)
    screen.note(f"run {run['run']} of {run['app']} ended with exit status {run['status']}")


def say_service(screen: Screen, service: Mapping[str, Any]) -> None:
    """How a service stands."""
    name = service["app"]
    if not service["enabled"]:
        screen.say(f"the service of {name} is not enabled")
        return
    screen.say(f"the service of {name} starts {_HOW.get(service['how'], service['how'])}: {service_line(service)}")
    if service["where"]:
        screen.say(f"  {service['where']}")
    if service["linger"] is False:
        screen.say("  it starts with the user's first login, not with the device", style="yellow")
    if last := service["last_exit"]:
        why = f": {last['message']}" if last.get("message") else ""
        screen.say(
            f"  last end: {last['kind']}, status {last['status']}, after {last['ran_s']:g} s, at {last['at']}{why}"
        )


def service_line(service: Mapping[str, Any]) -> str:
    """A service in a few words."""
    state = service["state"] or "not started yet"
    parts = [state]
    if service["running_s"] is not None:
        parts = [f"{service['release']} runs since {service['running_s']:g} s"]
    elif state == "waiting" and service["wait_s"]:
        parts = [f"starts again in {service['wait_s']:g} s at most"]
    if service["restarts"]:
        parts.append(f"started again {counted(service['restarts'], 'time')}")
    return ", ".join(parts)


def pending_line(pending: Mapping[str, Any]) -> str:
    """A release that waits to be confirmed, in a few words."""
    return f"goes back to {pending['previous']} in {pending['left_s']:g} s unless it is confirmed (lading confirm)"
