"""A device that is this machine: commands are started by a login shell of choice, in a home of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from lading.links.host import Finished
from lading.links.process import ProcessLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class LocalCommand(ProcessLink):
    """A command as a link."""

    def errors(self) -> bytes:
        """The end of its standard error."""
        return bytes(self._complaint)

    def abandon(self) -> None:
        """Let go of it at once."""
        self._process.kill()
        self.close()

    def end_input(self) -> None:
        """Nothing more is written."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def exit_status(self, timeout_s: float = 10.0) -> int | None:
        """Its exit status, waited for; None while it runs."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


@dataclass
class LocalHost:
    """Starts commands as a login shell would, and counts them.

    Args:
        home: ``HOME`` on the device; made if it is missing.
        shell: the login shell; ``-c COMMAND`` is added.
        path: ``PATH`` on the device.
        wrap: put in front of the shell, such as ``unshare``.
        on_command: called with each command before it is started; what it raises is what happens.
    """

    home: Path
    shell: Sequence[str] = ("/bin/sh",)
    path: str = SYSTEM_PATH
    wrap: Sequence[str] = ()
    on_command: Callable[[str], None] | None = None
    commands: list[str] = field(default_factory=list)
    description: str = "ssh://board"

    def _words(self, command: str) -> list[str]:
        if self.on_command is not None:
            self.on_command(command)
        self.commands.append(command)
        self.home.mkdir(parents=True, exist_ok=True)
        return ["env", "-C", str(self.home), *self.wrap, *self.shell, "-c", command]

    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": self.path, "LANG": "C", "USER": os.environ.get("USER", "root")}

    def start(self, command: str) -> LocalCommand:
        """Start a command and speak with it."""
        return LocalCommand(self._words(command), self.description, self._environment())

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run a command to its end."""
        done = subprocess.run(
            self._words(command),
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            env=self._environment(),
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """Nothing to let go of."""

    def __enter__(self) -> Self:
        """Close at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
