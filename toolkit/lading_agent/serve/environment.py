"""Variables of the device that an app may have: those that its bill names, and none that rule the agent itself.

The agent's environment holds more than an app's secrets: where programs and libraries are found, whose session this is,
what the service manager handed over. A bill is made elsewhere, so asking for one of those is refused by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Dict, Final, Mapping

from lading_agent.errors import AgentError

if TYPE_CHECKING:
    from lading_agent.bill import Bill

OWN: Final = re.compile(
    r"(?:LD|DYLD|PYTHON|MALLOC|GLIBC|SSH|SUDO|XDG|DBUS|SYSTEMD|LISTEN|LADING)(?:_.*)?"  # loader, interpreter, session
    r"|PYTHON[A-Z0-9]+|BASH_ENV|BASHOPTS|SHELLOPTS|LOCPATH|NLSPATH|GCONV_PATH"
    r"|PATH|HOME|SHELL|USER|LOGNAME|MAIL|PWD|OLDPWD|IFS|ENV|TMPDIR|HOSTALIASES|RESOLV_HOST_CONF"
    r"|NOTIFY_SOCKET|WATCHDOG_(?:USEC|PID)|INVOCATION_ID|JOURNAL_STREAM|CREDENTIALS_DIRECTORY|MAINPID"
)
"""Names that are the agent's, the loader's or the session's, never an app's."""


def from_device(bill: Bill, environment: Mapping[str, str]) -> Dict[str, str]:
    """The variables that an app wants from the device, out of the environment of its agent.

    Raises:
        AgentError: ``device``: one is not there, or is not for apps.
    """
    values: Dict[str, str] = {}
    for name in bill.app.env_from_device:
        if OWN.fullmatch(name):
            raise AgentError(
                "device",
                f"{bill.app.name} wants the variable {name} from the device, which is the agent's own",
                "give the app a variable of its own, such as MY_TOKEN",
            )
        if name not in environment:
            raise AgentError(
                "device",
                f"{bill.app.name} wants the variable {name} from the device, which has none of that name",
                f"set {name} in the environment of the device's agent",
            )
        values[name] = environment[name]
    return values
