"""Giving devices names, and with them the host keys that they must show from then on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading import datafiles
from lading.devices import registry
from lading.devices.address import Ssh
from lading.devices.resolve import resolve
from lading.errors import DeviceUnreachable, HostKeyChanged, HostKeyUnknown, NoCommands, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.links.ssh_line import Options

PROJECT_FILE = "lading.toml"


@dataclass(frozen=True)
class Enrolment:
    """A device that got its name."""

    name: str
    address: str
    file: Path
    host_key: str | None
    """The host key that it must show, as ``type SHA256:…`` or the fingerprint alone; None where it has none."""
    contacted: bool


def file_for(project_dir: Path, *, user: bool) -> Path:
    """The ``devices.toml`` that new names go into: the project's where there is a project, else the user's."""
    mine = project_dir / registry.FILE_NAME
    if not user and (mine.is_file() or (project_dir / PROJECT_FILE).is_file()):
        return mine
    return datafiles.user_config_dir() / registry.FILE_NAME


def add(
    name: str,
    address: str,
    *,
    file: Path,
    project_dir: Path,
    confirm: Callable[[str], bool] | None = None,
    fingerprint: str | None = None,
    contact: bool = True,
    replace: bool = False,
    options: Options | None = None,
) -> Enrolment:
    """Give a device a name.

    A device over SSH is asked for its host key, and tried: the user is let in, and a command starts. A key that
    ``known_hosts`` knows is taken; another one only with its fingerprint, or when ``confirm`` agrees.

    Args:
        name: its name from now on.
        address: where it is.
        file: the ``devices.toml`` that the name goes into.
        project_dir: the project whose targets and profiles count.
        confirm: asked whether a key (``type SHA256:…``) is the device's; None where nobody can be asked.
        fingerprint: the fingerprint of its host key.
        contact: whether the device is tried now.
        replace: whether a device of that name may be replaced.
        options: how connections are made.

    Raises:
        UsageError: the name is taken, or there is a fingerprint for what has no host key.
        AddressError, NameNotFound, NameNotUnique, DataFileError: of address or file.
        DeviceUnreachable: one of its kinds says why it does not work.
    """
    if "://" not in address:
        raise UsageError(f"'{address}' is no address", remedy="write for example ssh://pi@raspberrypi.local")
    found = resolve(address, project_dir).address
    taken = registry.read_file(file).get(name)
    if taken is not None and not replace:
        raise UsageError(
            f"{file} has a device or group '{name}' already",
            remedy=f"choose another name, replace it with --force, or give it its new key: lading device rekey {name}",
        )
    if not isinstance(found, Ssh):
        if fingerprint is not None:
            raise UsageError(f"{found.scheme}:// devices have no host key", remedy="leave --fingerprint away")
        registry.put(file, name, found)
        return Enrolment(name, str(found), file, None, contacted=False)
    if contact:
        key: str | None = _try(name, found, fingerprint, confirm, options)
    else:
        key = _checked(fingerprint) if fingerprint is not None else None
    registry.put(file, name, found, key)
    return Enrolment(name, str(found), file, key, contacted=contact)


def rekey(
    name: str,
    *,
    project_dir: Path,
    confirm: Callable[[str, str], bool] | None = None,
    fingerprint: str | None = None,
    options: Options | None = None,
) -> tuple[Enrolment, str | None]:
    """Take a device's new host key in place of the one before; returns that as well.

    Args:
        name: the device's name.
        project_dir: the project whose ``devices.toml`` comes first.
        confirm: asked with the key before and the one that the device shows now; None where nobody can be asked.
        fingerprint: the fingerprint of the new key.
        options: how connections are made.

    Raises:
        UsageError: it has no host key.
        HostKeyChanged: the new key was not agreed to.
        DeviceUnreachable: one of its kinds says why it does not show one.
    """
    from lading.links.ssh import look_at_key

    entry = named(name, project_dir)
    if not isinstance(entry.address, Ssh):
        raise UsageError(f"{entry.name}: {entry.address.scheme}:// devices have no host key")
    seen = look_at_key(entry.address, label=entry.name, expected=fingerprint, options=options)
    before = entry.host_key
    same = before is not None and seen in {before, f"{seen.partition(' ')[0]} {before}"}
    if fingerprint is None and not same and not (confirm is not None and confirm(before or "none", seen)):
        shown = seen.rpartition(" ")[2]
        other = f"not {before} as before" if before else "and none is written down"
        raise HostKeyChanged(
            f"{entry.name}: it shows the host key {seen}, {other}; nobody agreed to it",
            remedy="compare it with what ssh-keygen -lf says of the key on the device, then: "
            f"lading device rekey {entry.name} --fingerprint {shown}",
            details={"fingerprint": shown, "expected": before, "where": str(entry.file)},
        )
    registry.put(entry.file, entry.name, entry.address, seen)
    return Enrolment(entry.name, str(entry.address), entry.file, seen, contacted=True), before


def named(name: str, project_dir: Path) -> registry.Entry:
    """The entry of a device's name, exact or a unique beginning of it.

    Raises:
        NameNotFound, NameNotUnique: there is no such device, or there are several.
        UsageError: it is an address.
    """
    from lading import names

    if "://" in name:
        raise UsageError(f"'{name}' is an address", remedy="give the device's name: lading device list shows them")
    known = registry.load(project_dir)
    return known.devices[names.find(name, list(known.devices), "device")]


def _try(
    name: str,
    address: Ssh,
    fingerprint: str | None,
    confirm: Callable[[str], bool] | None,
    options: Options | None,
) -> str:
    """Connect, log in and start a command; the host key that was trusted for it."""
    from lading.links.ssh import look_at_key

    if fingerprint is not None:
        key: str | None = look_at_key(address, expected=_checked(fingerprint), options=options)
        return _start(address, key, options)
    try:
        return _start(address, None, options)
    except HostKeyUnknown as error:
        shown = str(error.details.get("fingerprint") or "")
        if not shown or error.details.get("address") is None:
            raise  # it is the key of a host on the way
        key = f"{error.details.get('key_type')} {shown}"
        if confirm is None or not confirm(key):
            raise HostKeyUnknown(
                error.message,
                remedy="compare it with what ssh-keygen -lf says of the key on the device "
                f"(/etc/ssh/ssh_host_*_key.pub), then: lading device add {name} '{address}' --fingerprint {shown}",
                details=error.details,
            ) from None
    return _start(address, key, options)


def _start(address: Ssh, key: str | None, options: Options | None) -> str:
    from lading.links.ssh import open_host

    with open_host(address, host_key=key, options=options) as host:
        done = host.run("exit 0")
        if done.status != 0:
            said = (done.stderr + done.stdout).decode("utf-8", "replace").strip().splitlines()
            raise NoCommands(
                f"{address}: the device lets the user in but starts no commands"
                + (f": {said[-1][:300]}" if said else f": 'exit 0' ended with status {done.status}"),
                remedy="use an account whose shell may run commands (no ForceCommand for files only, no nologin)",
            )
        seen = host.host_key
    if not seen:
        raise DeviceUnreachable(
            f"{address}: ssh did not tell which host key it trusted",
            remedy="take KnownHostsCommand out of ~/.ssh/config, or give --fingerprint",
        )
    return seen


def _checked(fingerprint: str) -> str:
    from lading.links.host_keys import parse_enrolled

    return str(parse_enrolled(fingerprint))
