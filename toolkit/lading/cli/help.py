"""How verbs show their help: text that flows in any width, and types only where there is something to write."""

from __future__ import annotations

import inspect
from typing import Any

from typer.core import TyperCommand


class Verb(TyperCommand):
    """A verb of the command line."""

    def __init__(self, *args: Any, help: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        super().__init__(*args, help=flowing(help) if help else help, **kwargs)

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters; a switch has no type to show, there is nothing to write after it."""
        params = super().get_params(ctx)
        for param in params:
            if getattr(param, "is_flag", False):
                param.metavar = ""
        return list(params)


def flowing(text: str) -> str:
    """Paragraphs as one line each, so that a terminal breaks them where it ends and not where the source did."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))
