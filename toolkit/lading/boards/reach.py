"""From a board to the ways that lead to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.boards import control, rootfs
from lading.boards.behind import BoardDevice
from lading.boards.identity import identity_of
from lading.devices.address import SerialSmp, SerialSocket, Ssh
from lading.errors import AddressError
from lading.targets.schema import DebianEmulation

if TYPE_CHECKING:
    from lading.boards.control import Board
    from lading.boards.state import Running
    from lading.devices import Device
    from lading.devices.address import Board as BoardAddress
    from lading.links.host import SshHost
    from lading.links.ssh_line import Options

UART: Final = "uart0"
"""What a board's UART may be called whatever Linux calls it."""


@dataclass(frozen=True)
class Addresses:
    """Where a board that is up is reached."""

    ssh: Ssh | None = None
    console: SerialSocket | None = None
    smp: SerialSmp | None = None

    def to_json(self) -> dict[str, str | None]:
        """As they stand in documents."""
        found = {"ssh": self.ssh, "console": self.console, "smp": self.smp}
        return {name: None if address is None else str(address) for name, address in found.items()}


@dataclass(frozen=True)
class BoardSecrets:
    """The password of a board's console. Nobody is asked."""

    password: str

    def stored(self, variable: str) -> str | None:
        """The password, whatever it is wanted for."""
        del variable
        return self.password

    def ask(self, prompt: str, *, echo: bool = False) -> str | None:
        """Nobody is there."""
        del prompt, echo
        return None


def addresses(board: Board, running: Running) -> Addresses:
    """Where a board is reached."""
    if not isinstance(board.emulation, DebianEmulation):
        return Addresses(smp=SerialSmp(running.serial)) if running.serial is not None else Addresses()
    here = "127.0.0.1"
    assert running.ssh_port is not None
    assert running.console_port is not None
    return Addresses(
        ssh=Ssh(here, rootfs.USER, running.ssh_port), console=SerialSocket(here, running.console_port, rootfs.USER)
    )


def options(board: Board) -> Options:
    """How SSH connections to a board are made: with its own keys and ``known_hosts``, and nothing of the user's."""
    from lading.links.ssh_config import Places
    from lading.links.ssh_line import Options

    identity = identity_of(board.state.identity)
    return Options(
        places=Places(home=board.state.folder, config=identity.config), secrets=BoardSecrets(identity.password)
    )


def root_host(board: Board, running: Running) -> SshHost:
    """A board as its root."""
    from lading.links.ssh import open_host

    found = addresses(board, running).ssh
    assert found is not None
    return open_host(replace(found, user="root"), label=board.name, options=options(board))


def way_to(device: Device, address: BoardAddress) -> BoardDevice:
    """The same device by the address behind its ``board://``.

    Raises:
        NameNotFound, NameNotUnique: there is no such board, or several.
        AddressError: it has no such UART.
        BoardDown: it does not run.
    """
    board = control.find(address.name, Path.cwd())
    emulation = board.emulation
    uarts = (emulation.console, UART) if isinstance(emulation, DebianEmulation) else (UART,)
    if address.uart is not None and address.uart not in uarts:
        raise AddressError(
            f"{device}: {board.name} has no UART '{address.uart}'", remedy=f"write #{uarts[0]}, or leave it away"
        )
    found = addresses(board, control.running(board))
    behind = found.smp or (found.console if address.uart is not None else found.ssh)
    assert behind is not None
    ssh = options(board) if behind is found.ssh else None
    secrets = BoardSecrets(identity_of(board.state.identity).password) if behind is found.console else None
    return BoardDevice(
        device.label,
        behind,
        device.name,
        firmware=device.firmware,
        target=board.target.id,
        options=ssh,
        secrets=secrets,
    )
