"""Starting a command on the device that ends up as the agent: its stream, or what it said instead."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.bootstrap.shell import sh
from lading.client.connection import FIRST_WORD_S
from lading.errors import TimedOut
from lading.links.base import Pouring
from lading_agent.bootstrap.answer import MARK
from lading_agent.wire.frames import MAGIC, MAX_NOISE

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.links.host import CommandLink, Host

_READ: Final = 64 * 1024


class AgentLink:
    """The link to an agent that has begun to speak.

    Args:
        link: the running command.
        ahead: what was read of it already.
    """

    def __init__(self, link: CommandLink, ahead: bytes) -> None:
        self._link = link
        self._ahead = ahead
        self._then: list[Callable[[], None]] = []
        if isinstance(link, Pouring):
            self.pour = link.pour

    @property
    def description(self) -> str:
        """Where it leads, for messages."""
        return self._link.description

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream."""
        if self._ahead:
            data, self._ahead = self._ahead[:limit], self._ahead[limit:]
            return data
        return self._link.read(limit)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._link.write(data)

    def complaint(self) -> str:
        """The end of the agent's standard error."""
        return self._link.complaint()

    def close(self) -> None:
        """Let go of it; the agent ends."""
        self._link.close()
        while self._then:
            self._then.pop()()

    def then(self, action: Callable[[], None]) -> None:
        """Have something done when the link is closed."""
        self._then.append(action)


@dataclass(frozen=True)
class Started:
    """What came of a start: an agent's link, or what was said in its place."""

    link: AgentLink | None
    said: str = ""
    """All that came instead of an agent, for messages."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    """The lines of it that were meant for us."""


def start_line(home: str, agent: str, ready: str) -> str:
    """The command that starts the agent if all that belongs to it is in place, and says so if it is not.

    Args:
        home: see :func:`lading.bootstrap.shell.home_text`.
        agent: the agent's file name.
        ready: the name of "all that belongs to it" (see ``lading_agent.store.ready``).
    """
    return sh(
        f'h="{home}"; a="$h/agent/{agent}"; r="$h/agent/{ready}.ready"; p=; '
        '[ -r "$r" ] && [ -f "$a" ] && read -r p <"$r"; '
        '[ -n "$p" ] && [ -x "$p" ] && '
        f'exec "$p" -I -S "$a" serve --home "$h" --device "$h/agent/{ready}.json" --ready; '
        f"echo; echo {MARK} missing"
    )


def listen(link: CommandLink, patience_s: float = FIRST_WORD_S) -> Started:
    """Read until an agent begins to speak, or the command is over.

    Args:
        link: the running command.
        patience_s: for how long it may say nothing.

    Raises:
        TimedOut: it said nothing for longer, and was given up.
    """
    seen = bytearray()
    while True:
        chunk = _read(link, patience_s)
        searched = max(0, len(seen) - len(MAGIC) + 1)
        seen += chunk
        if seen.find(MAGIC, searched) >= 0:
            return Started(AgentLink(link, bytes(seen)))
        if not chunk or len(seen) > MAX_NOISE:
            break
    said = seen.decode("utf-8", "replace")
    complaint = link.complaint()
    link.abandon() if chunk else link.close()
    return Started(None, f"{said}\n{complaint}".strip(), answers(said))


def _read(link: CommandLink, patience_s: float) -> bytes:
    given_up = threading.Event()

    def give_up() -> None:
        given_up.set()
        link.abandon()

    timer = threading.Timer(patience_s, give_up)
    timer.daemon = True
    timer.start()
    try:
        data = link.read(_READ)
    except OSError:
        data = b""
    finally:
        timer.cancel()
    if given_up.is_set():
        timer.join()
        raise TimedOut(
            f"{link.description}: a command was started and said nothing for {patience_s:.0f} s",
            remedy="see whether the login shell there waits for something, and whether the device is overloaded",
        )
    return data


def start(host: Host, command: str) -> Started:
    """Start a command that may become the agent."""
    return listen(host.start(command))


def answers(said: str) -> list[dict[str, Any]]:
    """The answers amid what a command printed: an agent's are JSON, a script's are one word each."""
    found: list[dict[str, Any]] = []
    for line in said.splitlines():
        mark, _, text = line.partition(" ")
        if mark != MARK:
            continue
        if text.isalpha():
            found.append({text: True})
            continue
        try:
            doc = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(doc, dict):
            found.append(doc)
    return found
