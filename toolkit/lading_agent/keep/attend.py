"""What any contact with the agent does for what should go on without one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading_agent.errors import AgentError
from lading_agent.keep import goback, pending, services, watcher

if TYPE_CHECKING:
    from lading_agent.serve.device import Served


def attend(served: Served) -> None:
    """Go back where it is due, have a watcher where something is pending, start services that should run.

    Raises:
        AgentError, OSError: something of it could not be done now; the next contact, or the watcher, does it.
    """
    if pending.written(served.layout):
        try:
            waiting = goback.look(served) is not None
        except AgentError as error:
            if error.code != "lock-held":
                raise
            waiting = True
        except OSError:  # no room to write down how it stands: the watcher looks on, and goes back without
            waiting = True
        if waiting:
            watcher.ensure(served)
    services.attend(served)
