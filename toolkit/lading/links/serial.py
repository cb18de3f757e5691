"""From a device's serial address to a host on which commands can be started."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.bootstrap.cargo import Cargo
    from lading.devices.address import Serial, SerialRfc2217, SerialSocket
    from lading.links.console_host import ConsoleHost
    from lading.links.secrets import Secrets


def open_console(
    address: Serial | SerialSocket | SerialRfc2217,
    *,
    label: str | None = None,
    project_dir: Path | None = None,
    cargo: Cargo | None = None,
    secrets: Secrets | None = None,
    said: Callable[[str], None] = lambda _text: None,
) -> ConsoleHost:
    """Open the port, find the console, log in, start the first stage.

    Args:
        address: where the console is.
        label: what messages call the device; its address when None.
        project_dir: the project whose profiles count for what a device gets.
        cargo: what a device gets, where that was loaded already.
        secrets: who knows the password; the user when None.
        said: takes what the user would like to know, such as a speed that could not be had.

    Raises:
        PortRefused, PortInUse, DeviceUnreachable: the port cannot be opened.
        ConsoleUnusable, AuthFailed, NoPython: no shell can be had on it, or none that would do.
    """
    from lading.bootstrap.cargo import load_cargo
    from lading.bootstrap.shell import home_text
    from lading.devices.address import Serial, SerialRfc2217
    from lading.links.console_host import ConsoleHost
    from lading.links.secrets import SERIAL_PASSWORD, UserSecrets
    from lading.links.serial_port import open_port

    asked = secrets or UserSecrets()
    where = label or str(address)

    def password(user: str) -> str | None:
        return asked.stored(SERIAL_PASSWORD) or asked.ask(f"Password of {user} on {where}: ")

    agent = f'"{home_text(address.home)}/agent/{(cargo or load_cargo(project_dir)).file_name}"'
    return ConsoleHost(
        open_port(address, where),
        user=address.user,
        password=password,
        agent=agent,
        speed=address.speed if isinstance(address, Serial | SerialRfc2217) else None,
        said=said,
    )
