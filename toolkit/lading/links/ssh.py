"""From a device's SSH address to a host on which commands can be started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.devices.address import OpenSsh

if TYPE_CHECKING:
    from lading.devices.address import Ssh
    from lading.links.host import SshHost
    from lading.links.ssh_line import Options


def open_host(
    address: Ssh,
    *,
    label: str | None = None,
    name: str | None = None,
    host_key: str | None = None,
    options: Options | None = None,
) -> SshHost:
    """Connect to a device; its host key is judged before anything else is said.

    Args:
        address: ``ssh://`` through paramiko, ``ssh+openssh://`` through the system's own ``ssh``.
        label: what messages call the device; its address when None.
        name: its name in ``devices.toml``.
        host_key: its fingerprint there; with it, ``known_hosts`` decides nothing but what is revoked.
        options: how connections are made.

    Raises:
        DeviceUnreachable: one of its kinds says why not.
        SshConfigError: ``~/.ssh/config`` is wrong, or needs OpenSSH itself.
    """
    from lading.links.host_keys import Party, parse_enrolled
    from lading.links.paramiko_host import ParamikoHost
    from lading.links.ssh_config import look_up
    from lading.links.ssh_line import Options, open_line

    label = label or str(address)
    options = options or Options()
    enrolled = parse_enrolled(host_key, f"{label}: host-key") if host_key is not None else None
    if isinstance(address, OpenSsh):
        from lading.links.openssh_host import OpenSshHost

        return OpenSshHost(address, label, name=name, enrolled=enrolled, options=options)

    destination = look_up(address.host, user=address.user, port=address.port, places=options.places)
    party = Party.known(label, destination, device=name, address=str(address), enrolled=enrolled)
    line = open_line(party, options)
    return ParamikoHost(
        line, label, alive_s=destination.alive_interval_s, alive_count=destination.alive_count, address=address
    )


def look_at_key(
    address: Ssh, *, label: str | None = None, expected: str | None = None, options: Options | None = None
) -> str:
    """The host key that a device shows, as ``type SHA256:…``; nobody logs in.

    Args:
        address: where it is.
        label: what messages call the device; its address when None.
        expected: the fingerprint that ``--fingerprint`` gave; of the device's keys, this one is looked for.
        options: how connections are made.

    Raises:
        HostKeyChanged: it does not show the expected one.
        HostKeyRevoked: it shows one that ``known_hosts`` revokes.
        DeviceUnreachable, SshConfigError: as :func:`open_host`.
    """
    from lading.links.host_keys import Party, parse_enrolled
    from lading.links.ssh_config import look_up
    from lading.links.ssh_line import Options, open_line

    label = label or str(address)
    options = options or Options()
    enrolled = parse_enrolled(expected) if expected is not None else None
    if isinstance(address, OpenSsh):
        from lading.links.openssh_host import look_at_key as through_openssh

        return through_openssh(address, label, options, enrolled)
    destination = look_up(address.host, user=address.user, port=address.port, places=options.places)
    party = Party.known(label, destination, address=str(address), enrolled=enrolled)
    line = open_line(party, options, log_in=False)
    line.close()
    return str(line.key)
