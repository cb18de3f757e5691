"""Taking everything away from a device again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.bootstrap.shell import IS_OURS, home_text, sh
from lading.bootstrap.start import answers
from lading.client.failures import from_agent
from lading.errors import AgentFailed
from lading_agent.bootstrap.answer import MARK
from lading_agent.bootstrap.purge import OURS

if TYPE_CHECKING:
    from lading.links.host import Host

TIME_S: Final = 300.0


@dataclass(frozen=True)
class Purged:
    """What came of it."""

    found: bool
    """Whether there was anything of lading's on the device."""
    removed: bool
    """Whether its home is gone now (or was not there)."""
    left: tuple[str, ...] = ()
    """What is still in the home: files of somebody else's."""
    notes: tuple[str, ...] = ()
    """What could not be taken away, in words."""


def purge(host: Host, home: str | None = None) -> Purged:
    """Remove the agent, its apps and engines, and what it had started with the device.

    Args:
        host: the device.
        home: the agent's folder on it; None: the usual place.

    Raises:
        AgentFailed: it could not be done.
        DeviceUnreachable: the device cannot be reached.
    """
    text = home_text(home)
    answer = _ask(host, purge_line(text))
    if answer is not None and "removed" in answer:
        return Purged(True, bool(answer["removed"]), _texts(answer.get("left")), _texts(answer.get("notes")))
    if answer is not None and "absent" in answer:
        return Purged(False, True)
    # No agent that could do it: what is known to be ours goes all the same.
    done = host.run(_by_hand_line(text), timeout_s=TIME_S)
    found = answers(done.stdout.decode("utf-8", "replace"))
    if not found:
        raise _failed(host, done.stdout + done.stderr)
    gone = "removed" in found[-1]
    note = "its agent did not answer: what it may have told systemd or cron to start was not taken away"
    return Purged(True, gone, () if gone else ("something else",), (note,))


def purge_line(home: str) -> str:
    """The command that has the agent remove itself; it says ``absent`` where nothing is."""
    return sh(
        f'h="{home}"; {IS_OURS} if [ -n "$o" ]; then p=; '
        'read -r p <"$h/agent/python"; exec "$p" -I -S "$h/agent/current" purge --home "$h"; '
        f"else echo; echo {MARK} absent; fi"
    )


def _by_hand_line(home: str) -> str:
    ours = " ".join(f'"$h/{name}"' for name in OURS)
    return sh(
        f'h="{home}"; rm -rf {ours}; rmdir "$h"; echo; '
        f'if [ -d "$h" ]; then echo {MARK} kept; else echo {MARK} removed; fi'
    )


def _ask(host: Host, line: str) -> dict[str, Any] | None:
    done = host.run(line, timeout_s=TIME_S)
    found = answers(done.stdout.decode("utf-8", "replace"))
    if found and isinstance(found[-1].get("error"), dict):
        raise from_agent(found[-1]["error"])
    return found[-1] if found else None


def _failed(host: Host, said: bytes) -> AgentFailed:
    last = said.decode("utf-8", "replace").strip().splitlines()
    return AgentFailed(
        f"{host.description}: could not be cleaned" + (f": {last[-1][:300]}" if last else ""),
        remedy="log in and remove the folder by hand",
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(v) for v in value) if isinstance(value, list) else ()
