"""From a device to its agent: started at once when everything is in place, brought there first when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.bootstrap.bring import bring
from lading.bootstrap.cargo import Cargo, load_cargo
from lading.bootstrap.shell import home_text
from lading.bootstrap.stages import Stage, ignore
from lading.bootstrap.start import start, start_line
from lading.errors import AgentFailed

if TYPE_CHECKING:
    from pathlib import Path

    from lading.bootstrap.stages import OnStage
    from lading.bootstrap.start import AgentLink
    from lading.links.host import Host


def agent_link(
    host: Host,
    home: str | None = None,
    *,
    project_dir: Path | None = None,
    cargo: Cargo | None = None,
    on_stage: OnStage = ignore,
) -> AgentLink:
    """A link to the device's agent, of exactly this version.

    One command starts it when it is there. Otherwise the device is looked at, and refused if it cannot take what would
    be brought; then come the agent, the runner and its engines, and a small inference proves them.

    Args:
        host: the device; the caller closes it after the link.
        home: the agent's folder on it; None: ``~/.local/share/lading``.
        project_dir: the project whose targets and firmware profiles count as well.
        cargo: what it gets, where that was loaded already.
        on_stage: told of each stage; of none when all is in place.

    Raises:
        AddressError: that home cannot be named.
        DeviceUnreachable: the device cannot be reached.
        DeviceUnfit, NoSpace: it cannot take what would be brought; nothing was sent.
        EngineFailed, AgentFailed: it was brought, and does not work there.
    """
    text = home_text(home)
    cargo = cargo or load_cargo(project_dir)
    line = start_line(text, cargo.file_name, cargo.ready)
    began = start(host, line)
    if began.link is not None:
        return began.link
    for answer in began.answers:
        if "again" in answer:
            on_stage(Stage("look", f"{answer['again']}: it is brought again"))
    bring(host, text, cargo, on_stage, project_dir)
    began = start(host, line)
    if began.link is None:
        said = began.said.splitlines()
        last = f" (it said: {said[-1][:300]})" if said else ""
        raise AgentFailed(
            f"{host.description}: the agent was brought, and does not start{last}",
            remedy="see what the device says, and whether its storage is sound",
            details={"said": began.said[-2000:]},
        )
    return began.link
