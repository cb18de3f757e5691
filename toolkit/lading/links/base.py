"""What every link to an agent has."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


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


@runtime_checkable
class Pouring(Protocol):
    """A link that can send a part of a file without bringing it into this process first."""

    def pour(self, fd: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of the file open as ``fd``, from ``offset`` on.

        Raises:
            EOFError: the file ends before; what went out before cannot be taken back.
            OSError: the link broke.
        """
