"""What this process was asked to do, beyond what the option parser sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GUEST_VERBS: Final = ("run", "emulate")
"""Their exit status is the guest's, and what follows ``--`` are the guest's arguments."""

TRACE_VERBS: Final = ("trace", "check")
"""They run a guest as well, and give it what follows ``--``; their exit status is their own."""


LISTED: Final = ("targets", "profiles", "engines", "device", "board")
"""Called without a verb of their own they list what there is."""


@dataclass
class Invocation:
    """One call of the command."""

    guest_args: list[str] | None = None
    """What followed ``--``; ``None`` without it."""
    answered: bool = False
    """Whether a verb came to run: an exit status before that is one of wrong use."""


INVOCATION: Final = Invocation()


def split(words: list[str]) -> tuple[list[str], list[str] | None]:
    """Split a verb that runs a guest at the first ``--``; other verbs are left alone."""
    if _verb(words) in (*GUEST_VERBS, *TRACE_VERBS) and "--" in words:
        at = words.index("--")
        return words[:at], words[at + 1 :]
    return words, None


def completed(words: list[str]) -> list[str]:
    """The words, with the ``list`` that may be left out after what can be listed."""
    if words and words[0] in LISTED and all(w.startswith("-") and w not in ("-h", "--help") for w in words[1:]):
        return [words[0], "list", *words[1:]]
    return words


def guest_verb(words: list[str]) -> bool:
    """Whether the words ask for a verb that runs a guest."""
    return _verb(words) in GUEST_VERBS


def _verb(words: list[str]) -> str | None:
    return next((word for word in words if not word.startswith("-")), None)
