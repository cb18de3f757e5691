"""A call that the option parser refuses, said as every other error is: two lines, a document, a status."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from lading.cli.answer import write_json
from lading.cli.invocation import guest_verb
from lading.cli.screen import Screen
from lading.errors import UsageError

WrongUse: Final[type[Exception]] = typer.BadParameter.__bases__[0]
"""The parser's own class for all of it, which typer does not name in public."""


def say_wrong_use(wrong: Any, words: list[str]) -> int:  # its class is the parser's, which has no public name
    """Say what is wrong with a call, and with which status it ends.

    A group called without a verb is not wrong: its help is the answer.
    """
    context = wrong.ctx
    command = context.command_path if context is not None else "lading"
    if context is not None and type(wrong).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(wrong.format_message())  # not asked for anew: typer has printed it by now
        return UsageError.exit_status
    usage = context.get_usage().removeprefix("Usage: ") if context is not None else ""
    message = wrong.format_message().rstrip(".")
    error = UsageError(
        f"{command}: {message[:1].lower()}{message[1:]}",
        remedy=f"{' '.join(usage.split())}; `{command} --help` says more" if usage else f"`{command} --help` says how",
    )
    if "--json" in words:
        verb = "-".join(command.split()[1:]) or "lading"
        write_json({"schema": f"lading.{verb}/1", "error": error.to_json()})
    Screen().error(error)
    return UsageError.run_status if guest_verb(words) else UsageError.exit_status
