"""What a verb gives back, and how its errors become lines and exit statuses."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from lading.cli.invocation import INVOCATION
from lading.cli.screen import Screen
from lading.errors import LadingError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")

INTERRUPTED = 130


@dataclass(frozen=True)
class Answer:
    """A verb's result: one JSON document, and the same for people."""

    document: dict[str, Any]
    render: Callable[[Screen], None] = field(default=lambda _screen: None)
    status: int = 0


def verb(name: str, *, runs_guest: bool = False) -> Callable[[Callable[P, Answer]], Callable[P, None]]:
    """Make a function that returns an :class:`Answer` into a command.

    Args:
        name: the verb, as it stands in the document's ``schema``.
        runs_guest: the exit status belongs to the guest, so that errors of ours use `LadingError.run_status`.
    """

    def wrap(function: Callable[P, Answer]) -> Callable[P, None]:
        @functools.wraps(function)
        def command(*args: P.args, **kwargs: P.kwargs) -> None:
            INVOCATION.answered = True
            as_json = bool(kwargs.get("as_json"))
            screen = Screen(as_json=as_json)
            try:
                answer = function(*args, **kwargs)
                if as_json:
                    write_json({"schema": f"lading.{name}/1", **answer.document})
                else:
                    answer.render(screen)
            except LadingError as error:
                status = error.run_status if runs_guest else error.exit_status
                if as_json:
                    write_json({"schema": f"lading.{name}/1", "error": error.to_json()})
                screen.error(error)
            except KeyboardInterrupt:
                screen.note("interrupted")
                status = INTERRUPTED
            except BrokenPipeError:
                # Whoever read our output has gone: nothing is left to say, and closing stdout must not say it either.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                status = 0
            else:
                status = answer.status
            raise typer.Exit(status)

        command.__annotations__["return"] = None
        return command

    return wrap


def write_json(document: dict[str, Any]) -> None:
    """Write one document to standard output."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def text_or_base64(name: str, data: bytes) -> dict[str, Any]:
    """Guest output in a document: ``NAME`` as text, or ``NAME_base64`` where it is not UTF-8 (the other is null)."""
    import base64

    try:
        return {name: data.decode("utf-8"), f"{name}_base64": None}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(data).decode("ascii")}
