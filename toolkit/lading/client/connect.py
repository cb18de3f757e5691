"""From a device to a session with its agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading import contact
from lading.client.session import Session
from lading.errors import DeviceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.bootstrap.cargo import Cargo
    from lading.bootstrap.stages import Stage
    from lading.devices import Device, EmulatedDevice
    from lading.devices.address import SerialSmp, UdpSmp
    from lading.links.base import Link
    from lading.links.host import Host
    from lading.links.process import ProcessLink
    from lading.links.secrets import Secrets
    from lading.links.ssh_line import Options


def connect(
    device: Device,
    *,
    command: Sequence[str] | None = None,
    on_stage: Callable[[Stage], None] | None = None,
    secrets: Secrets | None = None,
) -> Session:
    """Open a session with a device; what it lacks of lading's own is brought there first.

    Args:
        device: where to; see ``lading.devices.resolve``.
        command: starts another agent in place of this package's own (emulated devices).
        on_stage: told what happens when the device has to be set up; None: whoever listens to ``lading.contact``.
        secrets: who knows passwords; the user when None.

    Raises:
        DeviceUnreachable: the device cannot be reached.
        DeviceUnfit, NoSpace: it cannot take what it lacks. Nothing was sent.
        VersionMismatch: its agent and this client do not understand each other.
    """
    from lading.devices import EmulatedDevice
    from lading.devices.address import Board, Serial, SerialRfc2217, SerialSmp, SerialSocket, Ssh, UdpSmp

    if isinstance(device, EmulatedDevice):
        return Session(_emulated(device, command))
    if isinstance(device.address, Board):
        from lading.boards.reach import way_to

        device = way_to(device, device.address)
    if isinstance(device.address, Ssh | Serial | SerialSocket | SerialRfc2217):
        from lading.bootstrap.cargo import load_cargo

        if on_stage is None:
            where = str(device)
            on_stage = lambda stage: contact.tell(where, stage)  # noqa: E731
        cargo = load_cargo(device.project_dir)
        host = open_device_host(device, _as_stage(on_stage), cargo, secrets)
        return Session(_over(host, device, device.address.home, cargo, on_stage))
    if isinstance(device.address, SerialSmp | UdpSmp):
        return _microcontroller(device, device.address)
    raise DeviceUnreachable(
        f"{device}: this version of lading has no link for {device.scheme}://",
        remedy="use an emulated device (emulated://TARGET), or update lading",
    )


def open_device_host(
    device: Device,
    said: Callable[[str], None] = lambda _text: None,
    cargo: Cargo | None = None,
    secrets: Secrets | None = None,
) -> Host:
    """Connect to a device on which commands can be started.

    Args:
        device: where to.
        said: takes what a user would like to know about the way there.
        cargo: what it will get, where that was loaded already.
        secrets: who knows passwords; the user when None.

    Raises:
        DeviceUnreachable: the device cannot be reached, or starts no commands.
    """
    from lading.boards.behind import BoardDevice
    from lading.devices.address import Board, Serial, SerialRfc2217, SerialSocket, Ssh

    if isinstance(device.address, Board):
        from lading.boards.reach import way_to

        device = way_to(device, device.address)
    if isinstance(device.address, Ssh):  # OpenSsh as well
        from lading.links.ssh import open_host

        return open_host(
            device.address,
            label=str(device),
            name=device.name,
            host_key=device.host_key,
            options=device.options if isinstance(device, BoardDevice) else _options(secrets),
        )
    if isinstance(device.address, Serial | SerialSocket | SerialRfc2217):
        from lading.links.serial import open_console

        return open_console(
            device.address,
            label=str(device),
            project_dir=device.project_dir,
            cargo=cargo,
            secrets=device.secrets if isinstance(device, BoardDevice) else secrets,
            said=said,
        )
    raise DeviceUnreachable(f"{device}: {device.scheme}:// starts no commands there", remedy="use its ssh:// address")


def _options(secrets: Secrets | None) -> Options | None:
    if secrets is None:
        return None
    from lading.links.ssh_line import Options

    return Options(secrets=secrets)


def _as_stage(on_stage: Callable[[Stage], None] | None) -> Callable[[str], None]:
    from lading.bootstrap.stages import Stage, ignore

    return lambda text: (on_stage or ignore)(Stage("line", text))


def _over(host: Host, device: Device, home: str | None, cargo: Cargo, on_stage: Callable[[Stage], None] | None) -> Link:
    """A link to the agent of a host; the connection ends with it."""
    from lading.bootstrap import agent_link
    from lading.bootstrap.stages import ignore

    try:
        link = agent_link(host, home, project_dir=device.project_dir, cargo=cargo, on_stage=on_stage or ignore)
    except BaseException:
        host.close()
        raise
    link.then(host.close)
    return link


def _microcontroller(device: Device, address: SerialSmp | UdpSmp) -> Session:
    from lading import profiles
    from lading.firmware.session import FirmwareSession
    from lading.links.smp import open_smp
    from lading.profiles.schema import Mcu

    profile = profiles.find(f"profile:{device.firmware}", device.project_dir) if device.firmware is not None else None
    link = open_smp(address, str(device))
    mcu = profile.mcu if profile is not None else None
    return FirmwareSession(link, mcu or Mcu(), profile, address.root)


def _emulated(device: EmulatedDevice, command: Sequence[str] | None) -> ProcessLink:
    from lading import profiles, targets
    from lading.links.emulated import open_emulated

    target = targets.find(device.target, device.project)
    profile = profiles.find(device.firmware, device.project)
    return open_emulated(device.state, target.resolved(), profile.resolved(), str(device), command)
