"""What reaches a Linux device from the outside: programs can be started there, and that is all.

Bootstrap and the agent stand on this; SSH gives it in two ways, a login console could give it as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lading.links.base import Link

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    """Its exit status; 255 where the device did not say."""
    stdout: bytes
    stderr: bytes
    """The last 64 KiB of it."""


class CommandLink(Link, Protocol):
    """A running command as a link: its standard input and output. ``complaint()`` is the end of its standard error."""

    def errors(self) -> bytes:
        """The end of its standard error, as bytes."""

    def end_input(self) -> None:
        """Nothing more is written; what it says can still be read."""

    def abandon(self) -> None:
        """Let go of it at once, whatever it does; ``close()`` waits for its end."""

    def exit_status(self, timeout_s: float = 10.0) -> int | None:
        """The command's exit status, waited for; None while it runs, or when it cannot be known any more."""


class Host(Protocol):
    """A way to start commands on a device. One connection; commands may run side by side.

    Commands go to the user's login shell, whatever it is, as one line of text. A shell may print a greeting before the
    command says anything: what reads the output must be able to tell.
    """

    @property
    def description(self) -> str:
        """What the user calls the device, for messages."""

    def start(self, command: str) -> CommandLink:
        """Start a command and speak with it.

        Raises:
            DeviceUnreachable: the connection is gone, or the device starts no commands.
        """

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run a command to its end.

        Args:
            command: one line for the login shell.
            stdin: all of its standard input.
            timeout_s: how long it may take; what ``stdin`` needs on a slow line is added.

        Raises:
            DeviceUnreachable: the connection is gone, the device starts no commands, or the time is over.
        """

    def close(self) -> None:
        """Let go of the device; commands that still run lose their input."""

    def __enter__(self) -> Host:
        """Close at the end."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""


@runtime_checkable
class Learner(Protocol):
    """A host that reaches a device better the next time, once it is known what the device is."""

    def learn(self, facts: Mapping[str, Any]) -> None:
        """What was seen of the device (see ``lading_agent.facts``)."""


class SshHost(Host, Learner, Protocol):
    """A host over SSH."""

    @property
    def host_key(self) -> str:
        """The key that the device showed, as ``type SHA256:…``; empty before it showed one."""

    def __enter__(self) -> SshHost:
        """Close at the end."""
