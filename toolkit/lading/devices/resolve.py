"""What an address, or a name out of ``devices.toml``, stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading import datafiles, names
from lading.devices import registry
from lading.devices.address import Address, Board, Emulated, SerialSmp, UdpSmp, parse
from lading.errors import DataFileError, NameNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_FIRMWARE: Final = "lading-litert"
"""The firmware profile of an emulated device that names none: our own agent."""

DEFAULT_NAME: Final = "default"
_PROFILES: Final = "firmware_profiles"


@dataclass(frozen=True)
class Device:
    """One device. ``str()`` is what the user calls it: its name in ``devices.toml``, or its address."""

    label: str
    address: Address
    name: str | None = None
    """Its name in ``devices.toml``; for an emulated device the ``name`` that tells it from others of its kind."""
    firmware: str | None = None
    """The id of its firmware profile, where the address says it."""
    target: str | None = None
    """The id of its target, where the address says it."""
    host_key: str | None = None
    """The SSH host key that it must show, as ``devices.toml`` has it: a fingerprint, its type in front or not."""

    @property
    def scheme(self) -> str:
        """How it is reached: ``ssh``, ``serial``, ``emulated`` …"""
        return self.address.scheme

    @property
    def project_dir(self) -> Path | None:
        """The project whose targets and profiles count for it."""
        return None

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class EmulatedDevice(Device):
    """An agent on this machine; target, firmware and state are settled."""

    target: str = ""
    firmware: str = DEFAULT_FIRMWARE
    name: str = DEFAULT_NAME
    state: Path = Path()
    """The folder that keeps what it holds; it belongs to target, firmware and name."""
    project: Path | None = None

    @property
    def project_dir(self) -> Path | None:
        """The project whose targets and profiles count for it."""
        return self.project


def resolve(text: str, project_dir: Path | None = None) -> Device:
    """The one device that ``text`` stands for.

    Args:
        text: an address, or a name out of ``devices.toml`` (exact, or a unique prefix).
        project_dir: the project whose ``devices.toml``, targets and profiles come first; the current folder when None.

    Raises:
        AddressError: not an address.
        NameNotFound, NameNotUnique: no such device, target or profile, or several; a group.
        DataFileError: a file that says it is wrong.
    """
    base = Path.cwd() if project_dir is None else project_dir
    if "://" in text:
        return _settle(parse(text), text, None, Path.cwd(), base)
    known = registry.load(base)
    found = names.find(text, [*known.devices, *known.groups], "device")
    if found in known.groups:
        members = ", ".join(known.groups[found].members[:4])
        raise NameNotFound(
            f"'{found}' is a group of devices ({members}), and one device is wanted here",
            remedy="give one of its members",
        )
    entry = known.devices[found]
    device = _settle(entry.address, found, found, entry.file.parent, base)
    return device if entry.host_key is None else replace(device, host_key=entry.host_key)


def resolve_many(texts: Iterable[str], project_dir: Path | None = None) -> list[Device]:
    """The devices that several texts stand for, groups opened; each device once, in order of appearance.

    Raises:
        AddressError, NameNotFound, NameNotUnique, DataFileError: as :func:`resolve`.
    """
    base = Path.cwd() if project_dir is None else project_dir
    found: dict[tuple[Address, Path | None], Device] = {}
    for text in texts:
        for device in _expand(text, base, ()):
            state = device.state if isinstance(device, EmulatedDevice) else None
            found.setdefault((device.address, state), device)
    return list(found.values())


def _expand(text: str, base: Path, opened: tuple[str, ...]) -> list[Device]:
    if "://" in text:
        return [resolve(text, base)]
    known = registry.load(base)
    name = names.find(text, [*known.devices, *known.groups], "device")
    if name in known.devices:
        return [resolve(f"device:{name}", base)]
    group = known.groups[name]
    if name in opened:
        raise DataFileError(
            f"{group.file}: group.{name}: contains itself ({' → '.join([*opened, name])})",
            remedy="take it out of its own members",
            details={"file": str(group.file), "key": f"group.{name}"},
        )
    return [device for member in group.members for device in _expand(member, base, (*opened, name))]


def _settle(address: Address, label: str, name: str | None, relative_to: Path, base: Path) -> Device:
    match address:
        case Emulated():
            return _settle_emulated(address, label, relative_to, base)
        case SerialSmp() | UdpSmp():
            return Device(label, address, name, firmware=_profile(address.firmware, base))
        case Board():
            return _settle_board(address, label, name, base)
        case _:
            return Device(label, address, name)


def _settle_board(address: Board, label: str, name: str | None, base: Path) -> Device:
    from lading.boards import control

    target = control.find(address.name, base).target
    # A microcontroller is not asked for its firmware: there is nobody who could answer.
    firmware = target.profiles[0] if target.table.kind == "microcontroller" else None
    return Device(label, Board(target.id, address.uart), name, firmware=firmware, target=target.id)


def _settle_emulated(address: Emulated, label: str, relative_to: Path, base: Path) -> EmulatedDevice:
    from lading import targets

    target = targets.find(address.target, base)
    firmware = _profile(address.firmware, base) or DEFAULT_FIRMWARE
    name = address.name or DEFAULT_NAME
    if address.state is None:
        root = datafiles.user_state_dir() / "emulated"
    else:
        root = relative_to / Path(address.state).expanduser()
    return EmulatedDevice(
        label,
        Emulated(target.id, firmware, address.state, name),
        name=name,
        target=target.id,
        firmware=firmware,
        state=(root / target.id / firmware / name).absolute(),
        project=base,
    )


def _profile(text: str | None, base: Path) -> str | None:
    return None if text is None else names.find(text, datafiles.search(_PROFILES, base), "profile")
