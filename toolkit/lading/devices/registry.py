"""``devices.toml``: the names that users give their devices, and groups of them.

::

    schema = 1
    [device.kitchen]
    address = "ssh://pi@kitchen.local"
    host-key = "ssh-ed25519 SHA256:…"   # the key that it must show; `lading device add` writes it
    [group.house]
    devices = ["kitchen", "emulated://raspberry-pi-4b"]

A project's file (beside ``lading.toml``) comes before the user's; a name in it hides the same name there.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from lading import datafiles
from lading.devices.address import Address, Ssh, parse
from lading.errors import AddressError, DataFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

FILE_NAME: Final = "devices.toml"
SCHEMA: Final = 1
HOST_KEY: Final = re.compile(r"(?:(?P<kind>[a-z0-9@.-]{1,64}) )?(?P<fingerprint>SHA256:[A-Za-z0-9+/]{43})")
"""How a host key stands in the file."""

_HEADER: Final = re.compile(r"\[\s*(?P<kind>device|group)\s*\.\s*(?P<quote>[\"']?)(?P<name>[^\"'\]\s]+)(?P=quote)\s*\]")


class DeviceEntry(datafiles.Table, frozen=True):
    """One device."""

    address: Annotated[str, Meta(min_length=1, max_length=2048)]
    host_key: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """The fingerprint of the SSH host key that it must show, with the key's type in front or not."""


class GroupEntry(datafiles.Table, frozen=True):
    """Several devices under one name."""

    devices: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)]


class DevicesTable(datafiles.Table, frozen=True):
    """A whole file."""

    schema: int
    device: dict[str, DeviceEntry] = msgspec.field(default_factory=dict)
    group: dict[str, GroupEntry] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A named device: its address, and the folder that relative paths in it start from."""

    name: str
    address: Address
    file: Path
    host_key: str | None = None


@dataclass(frozen=True)
class Group:
    """A named group: names or addresses, as they stand in the file."""

    name: str
    members: tuple[str, ...]
    file: Path


@dataclass
class Registry:
    """All names of a project and of the user."""

    devices: dict[str, Entry] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)


def files(project_dir: Path | None = None) -> list[Path]:
    """Where ``devices.toml`` is looked for, the project's first."""
    places = [datafiles.user_config_dir()] if project_dir is None else [project_dir, datafiles.user_config_dir()]
    return [place / FILE_NAME for place in places]


def load(project_dir: Path | None = None) -> Registry:
    """Every name that the project and the user know.

    Raises:
        DataFileError: a file is wrong; names file, key and remedy.
    """
    registry = Registry()
    for path in files(project_dir):
        if path.is_file():
            for name, entry in _read(path).items():
                if name not in registry.devices and name not in registry.groups:
                    if isinstance(entry, Entry):
                        registry.devices[name] = entry
                    else:
                        registry.groups[name] = entry
    return registry


def _read(path: Path) -> dict[str, Entry | Group]:
    return _entries(datafiles.read_toml(path), path)


def _entries(document: dict[str, Any], path: Path) -> dict[str, Entry | Group]:
    table = datafiles.decode(document, DevicesTable, where=str(path), schema=SCHEMA)
    found: dict[str, Entry | Group] = {}
    for name, device in table.device.items():
        key = f"device.{name}"
        _check_name(name, path, key)
        try:
            address = parse(device.address)
        except AddressError as error:
            raise datafiles.invalid(str(path), f"{key}.address", error.message, remedy=error.remedy) from error
        found[name] = Entry(name, address, path, _host_key(device.host_key, address, path, f"{key}.host-key"))
    for name, group in table.group.items():
        key = f"group.{name}"
        _check_name(name, path, key)
        if name in found:
            raise datafiles.invalid(str(path), key, "is also the name of a device", remedy="rename one of them")
        found[name] = Group(name, group.devices, path)
    return found


def _host_key(text: str | None, address: Address, path: Path, key: str) -> str | None:
    if text is None:
        return None
    if not isinstance(address, Ssh):
        raise datafiles.invalid(str(path), key, f"{address.scheme}:// devices have no host key", remedy="take it out")
    if not HOST_KEY.fullmatch(text):
        raise datafiles.invalid(
            str(path),
            key,
            "this is not the fingerprint of a host key",
            remedy="write it as ssh-keygen -l shows it: SHA256: and 43 characters; lading device rekey writes it",
        )
    return text


def _check_name(name: str, path: Path, key: str) -> None:
    if not datafiles.ID.fullmatch(name):
        raise datafiles.invalid(
            str(path),
            key,
            "this cannot be a name",
            remedy="use letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63",
        )


def put(path: Path, name: str, address: Address, host_key: str | None = None) -> None:
    """Write a device into a ``devices.toml``; comments and other entries stay as they are.

    The file changes as a whole or not at all.

    Raises:
        DataFileError: the file is wrong as it stands, cannot be written, or has a group of that name.
    """
    _check_name(name, path, f"device.{name}")
    before, text = _before(path)
    if isinstance(before.get(name), Group):
        raise datafiles.invalid(str(path), f"group.{name}", "is a group", remedy="choose another name")
    entry = f'[device.{_key(name)}]\naddress = "{_basic(str(address))}"\n'
    if host_key is not None:
        entry += f'host-key = "{_basic(host_key)}"\n'
    kept = _without(text, name)
    text = (kept.rstrip("\n") + "\n\n" if kept.strip() else f"schema = {SCHEMA}\n\n") + entry
    _write(path, text, {**before, name: Entry(name, address, path, host_key)})


def drop(path: Path, name: str) -> bool:
    """Take a device out of a ``devices.toml``; False when it is not in there.

    Raises:
        DataFileError: the file is wrong as it stands, or cannot be written.
    """
    before, text = _before(path)
    if not isinstance(before.get(name), Entry):
        return False
    _write(path, _without(text, name), {k: v for k, v in before.items() if k != name})
    return True


def put_group(path: Path, name: str, members: Sequence[str]) -> None:
    """Write a group into a ``devices.toml``, in place of the one of that name; everything else stays as it is.

    Raises:
        DataFileError: the file is wrong as it stands, cannot be written, or has a device of that name.
    """
    _check_name(name, path, f"group.{name}")
    before, text = _before(path)
    if isinstance(before.get(name), Entry):
        raise datafiles.invalid(str(path), f"device.{name}", "is a device", remedy="choose another name")
    listed = ", ".join(f'"{_basic(member)}"' for member in members)
    entry = f"[group.{_key(name)}]\ndevices = [{listed}]\n"
    kept = _without(text, name, "group")
    text = (kept.rstrip("\n") + "\n\n" if kept.strip() else f"schema = {SCHEMA}\n\n") + entry
    _write(path, text, {**before, name: Group(name, tuple(members), path)})


def drop_group(path: Path, name: str) -> bool:
    """Take a group out of a ``devices.toml``; False when it is not in there.

    Raises:
        DataFileError: the file is wrong as it stands, or cannot be written.
    """
    before, text = _before(path)
    if not isinstance(before.get(name), Group):
        return False
    _write(path, _without(text, name, "group"), {k: v for k, v in before.items() if k != name})
    return True


def read_file(path: Path) -> dict[str, Entry | Group]:
    """The devices and groups of one file, by name; of a file that is missing, none.

    Raises:
        DataFileError: it is wrong.
    """
    return _before(path)[0]


def _before(path: Path) -> tuple[dict[str, Entry | Group], str]:
    return (_read(path), path.read_text("utf-8")) if path.is_file() else ({}, "")


def _without(text: str, name: str, kind: str = "device") -> str:
    """The text without the table of a device or group: from its header to the next one, other lines there kept."""
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            header = _HEADER.match(line.strip())
            inside = bool(header and header["kind"] == kind and header["name"] == name)
        if not inside:
            kept.append(line)
    return "".join(kept)


def _entries_or_none(text: str, path: Path) -> dict[str, Entry | Group] | None:
    try:
        return _entries(tomllib.loads(text), path)
    except (tomllib.TOMLDecodeError, DataFileError):
        return None


def _write(path: Path, text: str, meant: dict[str, Entry | Group]) -> None:
    """Replace the file in one step, but only if what would then be read from it is what is meant."""
    if _entries_or_none(text, path) != meant:
        raise DataFileError(
            f"{path}: is written in a way that cannot be changed without losing something",
            remedy="edit it by hand, or write each device as [device.NAME] with a line address = '…'",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o600)
            Path(temporary).replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise DataFileError(
            f"{path}: cannot be written: {error.strerror or error}", remedy="check the folder and its permissions"
        ) from error


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _basic(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
