"""What every link to an agent has."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """A reliable, ordered byte stream to an agent, both ways at once.

    ``read`` and ``write`` are called from different threads. A link that breaks raises ``OSError`` from both, or ends
    ``read`` with nothing; whoever uses it tells the user.
    """

    @property
    def description(self) -> str:
        """Where it leads, for messages."""

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""

    def complaint(self) -> str:
        """What the other end said outside of the protocol, such as a program's standard error; may be empty."""

    def close(self) -> None:
        """Let go of it. The agent at the other end stops what is under way and ends."""
