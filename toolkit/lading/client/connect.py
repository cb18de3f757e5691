"""From a device to a session with its agent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lading.client.session import Session
from lading.errors import DeviceUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.devices.address import Address, Emulated
    from lading.links.process import ProcessLink


def connect(device: Address, *, command: Sequence[str] | None = None) -> Session:
    """Open a session with a device.

    Args:
        device: where to.
        command: starts another agent in place of this package's own (emulated devices).

    Raises:
        DeviceUnreachable: the device cannot be reached.
        VersionMismatch: its agent and this client do not understand each other.
    """
    from lading.devices.address import Emulated

    if isinstance(device, Emulated):
        return Session(_emulated(device, str(device), command))
    raise DeviceUnreachable(
        f"{device}: this version of lading has no link of that kind",
        remedy="use an emulated device (emulated://TARGET), or update lading",
    )


def _emulated(address: Emulated, description: str, command: Sequence[str] | None) -> ProcessLink:
    from lading import profiles, targets
    from lading.links.emulated import open_emulated

    target = targets.find(address.target)
    profile = profiles.find(address.firmware or target.profiles[0])
    home = Path(address.state) if address.state else default_home(target.id, profile.id, address.name)
    return open_emulated(home, target.resolved(), profile.resolved(), description, command)


def default_home(target: str, profile: str, name: str | None) -> Path:
    """Where an emulated device keeps its state unless its address says so: it belongs to target, profile and name."""
    import platformdirs

    parts = [target, profile] + ([quote(name, safe="")] if name else [])
    return Path(platformdirs.user_state_dir("lading")) / "emulated" / "+".join(parts)
