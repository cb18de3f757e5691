"""What a verb gives back, and how its errors become lines and exit statuses."""

from __future__ import annotations

import functools
import json
import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ParamSpec

import typer

from lading.cli.first_contact import FirstContact
from lading.cli.invocation import INVOCATION
from lading.cli.screen import Screen
from lading.cli.streams import abandon
from lading.errors import AgentFailed, InputError, LadingError

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")

INTERRUPTED = 130


class Interrupted(LadingError):
    """The user wants no more of it."""

    exit_status = INTERRUPTED
    run_status = INTERRUPTED
    code = "interrupted"


class CannotWrite(LadingError):
    """Standard output, or standard error, takes no more."""

    code = "cannot-write"

    def __init__(self, stream: int, error: OSError) -> None:
        name = "standard output" if stream == 1 else "standard error"
        super().__init__(
            f"{name} cannot be written: {error.strerror}", remedy="see where it leads, and whether it is full"
        )


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
            screen = Screen(as_json=bool(kwargs.get("as_json")))
            failure: LadingError
            status = 0
            try:
                with FirstContact(screen):
                    answer = function(*args, **kwargs)
                status = answer.status
                _show(answer, screen, name)
                raise typer.Exit(status)
            except LadingError as error:
                failure = error
            except KeyboardInterrupt:
                failure = Interrupted("interrupted")
            except BrokenPipeError:
                # Whoever read our output has gone: nothing is left to say, and closing stdout must not say it either.
                abandon(sys.stdout)
                raise typer.Exit(status) from None
            except OSError as error:
                failure = _local(error)
            _show_failure(failure, screen, name)
            raise typer.Exit(failure.run_status if runs_guest else failure.exit_status)

        command.__annotations__["return"] = None
        return command

    return wrap


def write_json(document: dict[str, Any]) -> None:
    """Write one document to standard output, in ASCII where its encoding does not have all the characters.

    Raises:
        CannotWrite: standard output takes no more.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if not text.replace("\n", "").isprintable():
        # JSON leaves DEL, C1 controls and marks of direction as they are: a terminal obeys some of them.
        text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CannotWrite(1, error) from None


def _show(answer: Answer, screen: Screen, name: str) -> None:
    if screen.as_json:
        write_json({"schema": f"lading.{name}/1", **answer.document})
        return
    try:
        answer.render(screen)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if "device" not in answer.document:
            raise
        raise AgentFailed(
            f"the agent on the device answers something that makes no sense ({type(error).__name__}: {error})",
            remedy="update it; --json shows its answer as it came",
        ) from error
    except OSError as error:
        raise CannotWrite(1, error) from None


def _show_failure(failure: LadingError, screen: Screen, name: str) -> None:
    if isinstance(failure, CannotWrite):
        abandon(sys.stdout)
    elif screen.as_json:
        try:
            write_json({"schema": f"lading.{name}/1", "error": failure.to_json()})
        except (LadingError, OSError):
            abandon(sys.stdout)
    screen.error(failure)


def _local(error: OSError) -> LadingError:
    """A file, a name or a resource of this machine that said no where nobody expected it."""
    what = f"{os.fsdecode(error.filename)[:200]}: " if isinstance(error.filename, (str, bytes)) else ""
    failure = InputError if what else LadingError
    return failure(f"{what}{error.strerror or error}", remedy="correct the path, or see what this machine lacks")


def text_or_base64(name: str, data: bytes) -> dict[str, Any]:
    """Guest output in a document: ``NAME`` as text, or ``NAME_base64`` where it is not UTF-8 (the other is null)."""
    import base64

    try:
        return {name: data.decode("utf-8"), f"{name}_base64": None}
    except UnicodeDecodeError:
        return {name: None, f"{name}_base64": base64.b64encode(data).decode("ascii")}
