"""The command lines of the agent's own processes: ``detached``, ``service``, ``watch``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, List, Optional

from lading_agent.errors import AgentError
from lading_agent.keep import detached, processes, service, watcher

if TYPE_CHECKING:
    from lading_agent.serve.device import Served

COMMANDS = ("detached", "service", "watch")

Opened = Callable[[Path, Optional[Path]], "Served"]


def main(words: List[str], opened: Opened, pace: Optional[service.Pace] = None) -> int:
    """Be one of the agent's own processes.

    Args:
        words: the command and its words.
        opened: from home and device file to the device.
        pace: how patient a service is.

    Returns:
        An exit status.
    """
    parser = argparse.ArgumentParser(prog="lading-agent", description="what the agent leaves behind on the device")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("detached", "keep one detached run (started by the agent)"),
        ("service", "keep an app's service running"),
        ("watch", "go back from releases that nobody confirms"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--home", type=Path, required=True, help="the agent's folder")
        command.add_argument("--device", type=Path, help="the device file (default: device.json in the home)")
        if name != "watch":
            command.add_argument("--app", required=True, help="the app")
        if name == "detached":
            command.add_argument("--run", required=True, help="the run's number")
    options = parser.parse_args(words)
    try:
        served = opened(options.home, options.device)
        if options.command == "detached":
            return detached.keep(served, options.app, options.run)
        if options.command == "watch":
            return watcher.watch(served)
        return service.keep(served, options.app, detach=processes.asked_to_detach(), pace=pace)
    except AgentError as error:
        sys.stderr.write(f"lading agent: {error.message}; {error.remedy}\n")
        processes.say({"error": error.to_json()})
        return 1
