"""Going back to the agent that a device had before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.bootstrap.shell import home_text, sh
from lading.bootstrap.start import answers
from lading.client.failures import from_agent
from lading.errors import AgentFailed

if TYPE_CHECKING:
    from lading.links.host import Host

TIME_S: Final = 60.0


def roll_back(host: Host, home: str | None = None) -> str:
    """Make the device's earlier agent the one that services and watchers start.

    Clients start the agent of exactly their own version, so this one counts for what the device starts by itself, until
    the next client of another version brings its own.

    Returns:
        The file name of the agent that is current now.

    Raises:
        DeviceError: there is no earlier one.
        AgentFailed: it could not be done.
        DeviceUnreachable: the device cannot be reached.
    """
    text = home_text(home)
    done = host.run(
        sh(
            f'h="{text}"; p=; [ -r "$h/agent/python" ] && read -r p <"$h/agent/python"; '
            '[ -n "$p" ] && exec "$p" -I -S "$h/agent/current" rollback --home "$h"; echo "no agent there" >&2; exit 1'
        ),
        timeout_s=TIME_S,
    )
    for answer in answers(done.stdout.decode("utf-8", "replace")):
        if isinstance(answer.get("error"), dict):
            raise from_agent(answer["error"])
        if isinstance(answer.get("current"), str):
            return str(answer["current"])
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    raise AgentFailed(
        f"{host.description}: the agent could not be rolled back" + (f": {said[-1][:300]}" if said else ""),
        remedy="connect to the device once, which brings an agent: lading status DEVICE",
    )
