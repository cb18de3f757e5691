"""From a device to a session with its agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.client.session import Session
from lading.errors import DeviceUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.devices import Device, EmulatedDevice
    from lading.links.process import ProcessLink


def connect(device: Device, *, command: Sequence[str] | None = None) -> Session:
    """Open a session with a device.

    Args:
        device: where to; see ``lading.devices.resolve``.
        command: starts another agent in place of this package's own (emulated devices).

    Raises:
        DeviceUnreachable: the device cannot be reached.
        VersionMismatch: its agent and this client do not understand each other.
    """
    from lading.devices import EmulatedDevice

    if isinstance(device, EmulatedDevice):
        return Session(_emulated(device, command))
    raise DeviceUnreachable(
        f"{device}: this version of lading has no link for {device.scheme}://",
        remedy="use an emulated device (emulated://TARGET), or update lading",
    )


def _emulated(device: EmulatedDevice, command: Sequence[str] | None) -> ProcessLink:
    from lading import profiles, targets
    from lading.links.emulated import open_emulated

    target = targets.find(device.target, device.project)
    profile = profiles.find(device.firmware, device.project)
    return open_emulated(device.state, target.resolved(), profile.resolved(), str(device), command)
