"""Whether the key that a host shows is the device's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lading.devices.registry import HOST_KEY
from lading.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown, UsageError
from lading.links import known_hosts
from lading.links.known_hosts import AUTHORITY, REVOKED, HostKey, KnownHost
from lading.links.ssh_config import DEFAULT_PORT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lading.links.ssh_config import Destination

OWN_FILE: Final = "devices.toml"
ELSEWHERE: Final = "@other-port"
"""Marks lines about the host at its usual port, while another one is meant."""


@dataclass(frozen=True)
class Enrolled:
    """The key that a device has in ``devices.toml``: its fingerprint, and its type where that is known."""

    fingerprint: str
    kind: str | None = None
    where: str = OWN_FILE
    """Who says so, for messages."""

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}" if self.kind else self.fingerprint

    def fits(self, key: HostKey) -> bool:
        """Whether a key is this one."""
        return key.fingerprint == self.fingerprint and self.kind in {None, key.kind}


def parse_enrolled(text: str, where: str = "--fingerprint") -> Enrolled:
    """``SHA256:…``, with the key's type in front of it or not.

    Raises:
        UsageError: it is something else.
    """
    match = HOST_KEY.fullmatch(text.strip().rstrip("="))
    if match is None:
        raise UsageError(
            f"{where}: this is not a fingerprint",
            remedy="write it as ssh-keygen -l shows it: SHA256: and 43 characters",
        )
    return Enrolled(match["fingerprint"], match["kind"], where if where.startswith("--") else OWN_FILE)


@dataclass(frozen=True)
class Party:
    """Whose key is judged, and what is known of it."""

    description: str
    """What messages call it."""
    destination: Destination
    device: str | None = None
    """Its name in ``devices.toml``."""
    address: str | None = None
    """Its address; None for a host on the way."""
    enrolled: Enrolled | None = None
    lines: tuple[KnownHost, ...] = field(default=())
    """What the ``known_hosts`` files say of it."""

    @classmethod
    def known(
        cls,
        description: str,
        destination: Destination,
        *,
        device: str | None = None,
        address: str | None = None,
        enrolled: Enrolled | None = None,
    ) -> Party:
        """A party, with what the files say of it."""
        lines = known_hosts.read(destination.known_hosts)
        found = known_hosts.about(lines, destination.hostname, destination.port, destination.key_alias)
        if not found and destination.key_alias is None:
            # A host whose name is known without a port is taken at another port by the same keys only.
            found = [
                line
                for line in known_hosts.about(lines, destination.hostname, DEFAULT_PORT)
                if line.marker != AUTHORITY
            ]
            found = [KnownHost(k.file, k.number, k.marker or ELSEWHERE, k.patterns, k.key) for k in found]
        return cls(description, destination, device, address, enrolled, tuple(found))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of the keys that it should show, in order: a server is asked for these first."""
        if self.enrolled is not None:
            return (self.enrolled.kind,) if self.enrolled.kind else ()
        return tuple(dict.fromkeys(line.key.kind for line in self.lines if line.marker in {"", ELSEWHERE}))


def judge(party: Party, key: HostKey) -> None:
    """Let a key pass, or not.

    Raises:
        HostKeyRevoked, HostKeyChanged, HostKeyUnknown: it does not.
    """
    refuse_revoked(party.description, str(key), party.lines)
    if party.enrolled is not None:
        if not party.enrolled.fits(key):
            raise changed(party.description, party.device, str(key), str(party.enrolled), party.enrolled.where)
        return
    trusted = [line for line in party.lines if line.marker in {"", ELSEWHERE}]
    if any(line.key == key for line in trusted):
        return
    own = [line for line in trusted if not line.marker]
    if own:
        line = next((line for line in own if line.key.kind == key.kind), own[0])
        raise changed(party.description, party.device, str(key), str(line.key), line.where)
    raise _unknown(party, key)


def refuse_revoked(label: str, seen: str, lines: Iterable[KnownHost]) -> None:
    """Raise :class:`HostKeyRevoked` for a key (``type SHA256:…``) that one of the lines revokes."""
    for line in lines:
        if line.marker == REVOKED and str(line.key) == seen:
            raise revoked(label, seen, line.where)


def changed(label: str, device: str | None, seen: str, expected: str, where: str) -> HostKeyChanged:
    """The error for a key that is another than before.

    Args:
        label: what messages call the host.
        device: its name in ``devices.toml``, if it has one.
        seen: the key that it shows, as ``type SHA256:…``.
        expected: the key that it had.
        where: the file that says so; :data:`OWN_FILE` or a line of ``known_hosts``.
    """
    if where.startswith("--"):
        remedy = "give the fingerprint that the device itself tells; if it did, somebody may be in between"
        return HostKeyChanged(
            f"{label}: it shows the host key {seen}, and not {expected} as {where} says",
            remedy=remedy,
            details={"fingerprint": seen.rpartition(" ")[2], "expected": expected, "where": where},
        )
    if where != OWN_FILE:
        remedy = f"if you know why it changed, take the line {where} out and enrol the new key"
    elif device is not None:
        remedy = f"if you know why it changed, look at both keys and take the new one: lading device rekey {device}"
    else:
        remedy = "if you know why it changed, give its new fingerprint"
    return HostKeyChanged(
        f"{label}: its host key has changed: it shows {seen}, and {where} has {expected}; "
        "it may be another machine, or somebody in between",
        remedy=remedy,
        details={"fingerprint": seen.rpartition(" ")[2], "expected": expected, "where": where},
    )


def unknown(label: str, device: str | None, address: str, seen: str, note: str = "") -> HostKeyUnknown:
    """The error for a device's key that nobody knows; see :func:`changed`."""
    kind, _, fingerprint = seen.rpartition(" ")
    verb = f"rekey {device}" if device is not None else f"add NAME {address}"
    return HostKeyUnknown(
        f"{label}: its host key is not known: {seen or 'it did not show one'}{note}",
        remedy="compare it with what ssh-keygen -lf says of the key on the device (/etc/ssh/ssh_host_*_key.pub), "
        f"then: lading device {verb}" + (f" --fingerprint {fingerprint}" if fingerprint else ""),
        details={"fingerprint": fingerprint, "key_type": kind, "address": address},
    )


def _unknown(party: Party, key: HostKey) -> HostKeyUnknown:
    note = ""
    if any(line.marker == AUTHORITY for line in party.lines):
        note = " (known_hosts has a certificate authority for it, which only ssh+openssh:// follows)"
    if party.address is not None:
        return unknown(party.description, party.device, party.address, str(key), note)
    there = party.destination
    port = f"-p {there.port} " if there.port != DEFAULT_PORT else ""
    return HostKeyUnknown(
        f"{party.description}: its host key is not known: {key}{note}",
        remedy=f"compare it, and enrol it with: ssh {port}{there.user}@{there.hostname}",
        details={"fingerprint": key.fingerprint, "key_type": key.kind, "address": None},
    )


def revoked(label: str, seen: str, where: str) -> HostKeyRevoked:
    """The error for a key that must not be trusted."""
    return HostKeyRevoked(
        f"{label}: its host key {seen} is revoked{where and f' ({where})'}: nobody who shows it is trusted",
        remedy="make new host keys on the device, then enrol them with lading device rekey",
        details={"fingerprint": seen.rpartition(" ")[2], "where": where},
    )
