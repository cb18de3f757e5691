"""What a bootstrap tells on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage begins or goes on."""

    name: str
    """``look``, ``agent``, ``fetch``, ``engines`` or ``check``."""
    text: str
    """What happens, for people."""
    done: int = 0
    """Bytes so far; both are 0 where nothing is counted."""
    total: int = 0


OnStage = Callable[[Stage], None]


def ignore(_: Stage) -> None:
    """Tell nobody."""
