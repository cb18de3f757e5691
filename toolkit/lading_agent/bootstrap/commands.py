"""The agent's commands around its own place: ``install``, ``rollback``, ``purge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading_agent.bootstrap.answer import answer, refuse
from lading_agent.errors import AgentError, from_os_error
from lading_agent.store.layout import Layout

if TYPE_CHECKING:
    import argparse

COMMANDS: Final = ("install", "rollback", "purge")


def add_commands(commands: Any) -> None:
    """Add their command lines to the agent's."""
    from lading_agent.bootstrap import install

    install.add_arguments(commands.add_parser("install", help="put this very agent into a home, then serve"))
    for name, help_ in (("rollback", "make the earlier agent current"), ("purge", "remove the home")):
        commands.add_parser(name, help=help_).add_argument(
            "--home", type=Path, required=True, help="the agent's folder"
        )


def is_whole(home: Path) -> bool:
    """Whether the engines are what was installed; says on standard output what is wrong with them."""
    from lading_agent.bootstrap.whole import what_is_wrong

    wrong = what_is_wrong(Layout(home.absolute()))
    if wrong:
        answer(again=wrong)
    return not wrong


def run(options: argparse.Namespace) -> int:
    """Run one of the commands; it answers with one line.

    Returns:
        An exit status.
    """
    from lading_agent.bootstrap import install, purge

    if options.command == "install":
        return install.run(options)
    layout = Layout(options.home.absolute())
    try:
        if options.command == "rollback":
            answer(current=install.roll_back(layout))
        else:
            answer(**purge.purge(layout))
    except AgentError as error:
        return refuse(error.to_json())
    except OSError as error:
        return refuse(from_os_error(error, f"the agent's home {layout.home} cannot be changed").to_json())
    return 0
