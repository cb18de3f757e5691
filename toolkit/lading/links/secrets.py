"""Passwords and passphrases: from the environment or from a terminal, and from nowhere else."""

from __future__ import annotations

import os
import sys
from typing import Final, Protocol

PASSWORD: Final = "LADING_SSH_PASSWORD"  # noqa: S105 - the name of a variable
PASSPHRASE: Final = "LADING_SSH_PASSPHRASE"  # noqa: S105 - the name of a variable
SERIAL_PASSWORD: Final = "LADING_SERIAL_PASSWORD"  # noqa: S105 - the name of a variable
TRIES: Final = 3
_NAMES: Final = (PASSWORD, PASSPHRASE, SERIAL_PASSWORD)
_taken: dict[str, str] = {}


def take() -> None:
    """Take the secrets out of this process's environment, so that nothing it starts inherits them."""
    for name in _NAMES:
        value = os.environ.pop(name, None)
        if value is not None:
            _taken[name] = value


class Secrets(Protocol):
    """Who knows a password."""

    def stored(self, variable: str) -> str | None:
        """What the environment holds."""

    def ask(self, prompt: str, *, echo: bool = False) -> str | None:
        """What the user types; None when there is nobody to ask."""


class UserSecrets:
    """The environment's variables, and the terminal if there is one."""

    def stored(self, variable: str) -> str | None:
        """What the environment holds."""
        return os.environ.get(variable) or _taken.get(variable) or None

    def ask(self, prompt: str, *, echo: bool = False) -> str | None:
        """What the user types; None without a terminal."""
        if not on_terminal():
            return None
        if echo:
            sys.stderr.write(prompt)
            sys.stderr.flush()
            return sys.stdin.readline().rstrip("\n") or None
        import getpass

        try:
            return getpass.getpass(prompt, stream=sys.stderr) or None
        except EOFError:
            return None


def on_terminal() -> bool:
    """Whether somebody is there to answer."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def clean_environment() -> dict[str, str]:
    """Our environment without the secrets, for programs that we start."""
    return {name: value for name, value in os.environ.items() if name not in _NAMES}
