"""Variables of the device: those that the bill names, and none of the agent's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lading_agent.errors import AgentError
from lading_agent.serve.environment import from_device
from tests.support import bills

if TYPE_CHECKING:
    from lading_agent.bill import Bill

SURROUNDINGS = {
    "TOKEN": "t",
    "SENSOR_ID": "7",
    "TZ": "UTC",
    "LANG": "C.UTF-8",
    "HTTPS_PROXY": "p",
    "PATHS": "x",
    "LDAP_HOST": "h",
    "LOCATION": "roof",
    "PATH": "/bin",
    "HOME": "/root",
    "LD_PRELOAD": "/evil.so",
    "LD_LIBRARY_PATH": "/lib",
    "PYTHONPATH": "/x",
    "PYTHONHOME": "/x",
    "GLIBC_TUNABLES": "x",
    "MALLOC_CHECK_": "3",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "SSH_CONNECTION": "x",
    "SUDO_USER": "x",
    "XDG_RUNTIME_DIR": "/run/user/0",
    "DBUS_SESSION_BUS_ADDRESS": "x",
    "NOTIFY_SOCKET": "/run/x",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "BASH_ENV": "/x",
    "ENV": "/x",
    "IFS": ":",
    "LOCPATH": "/x",
    "GCONV_PATH": "/x",
    "LADING_HOME": "/x",
}
FOR_APPS = ("TOKEN", "SENSOR_ID", "TZ", "LANG", "HTTPS_PROXY", "PATHS", "LDAP_HOST", "LOCATION")


def wanting(*names: str) -> Bill:
    bill = bills.sample_bill()
    return replace(bill, app=replace(bill.app, env_from_device=names))


def test_an_app_gets_what_its_bill_names_and_nothing_else() -> None:
    assert from_device(wanting(*FOR_APPS), SURROUNDINGS) == {name: SURROUNDINGS[name] for name in FOR_APPS}
    assert from_device(wanting(), SURROUNDINGS) == {}


@pytest.mark.parametrize("name", sorted(set(SURROUNDINGS) - set(FOR_APPS)))
def test_what_rules_the_agent_is_refused_by_name(name: str) -> None:
    for surroundings in (SURROUNDINGS, {}):
        with pytest.raises(AgentError, match=f"the variable {name} from the device, which is the agent's own"):
            from_device(wanting("TOKEN", name) if surroundings else wanting(name), surroundings)


def test_what_the_device_does_not_have_is_named() -> None:
    with pytest.raises(AgentError, match="the variable OTHER from the device, which has none of that name"):
        from_device(wanting("TOKEN", "OTHER"), SURROUNDINGS)
