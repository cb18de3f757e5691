"""Whether the key that a host shows is the device's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lading.errors import HostKeyChanged, HostKeyRevoked, HostKeyUnknown, UsageError
from lading.links import known_hosts
from lading.links.known_hosts import AUTHORITY, REVOKED, HostKey, KnownHost
from lading.links.ssh_config import DEFAULT_PORT

if TYPE_CHECKING:
    from lading.links.ssh_config import Destination

_FINGERPRINT: Final = re.compile(r"(?:([a-z0-9@.-]+) )?(SHA256:[A-Za-z0-9+/]{43})=?")


@dataclass(frozen=True)
class Enrolled:
    """The key that a device has in ``devices.toml``: its fingerprint, and its type where that is known."""

    fingerprint: str
    kind: str | None = None

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
    match = _FINGERPRINT.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"{where}: this is not a fingerprint",
            remedy="write it as ssh-keygen -l shows it: SHA256: and 43 characters",
        )
    return Enrolled(match[2], match[1])


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


ELSEWHERE: Final = "@other-port"


def judge(party: Party, key: HostKey) -> None:
    """Let a key pass, or not.

    Raises:
        HostKeyRevoked, HostKeyChanged, HostKeyUnknown: it does not.
    """
    for line in party.lines:
        if line.marker == REVOKED and line.key == key:
            raise HostKeyRevoked(
                f"{party.description}: its host key {key} is revoked ({line.where}): nobody who shows it is trusted",
                remedy="make new host keys on the device, then enrol them with lading device rekey",
                details={"fingerprint": key.fingerprint, "key_type": key.kind, "where": line.where},
            )
    if party.enrolled is not None:
        if not party.enrolled.fits(key):
            raise changed(party, str(key), key.fingerprint, str(party.enrolled), "devices.toml")
        return
    trusted = [line for line in party.lines if line.marker in {"", ELSEWHERE}]
    if any(line.key == key for line in trusted):
        return
    own = [line for line in trusted if not line.marker]
    if own:
        line = next((line for line in own if line.key.kind == key.kind), own[0])
        raise changed(party, str(key), key.fingerprint, str(line.key), line.where)
    raise unknown(party, key)


def changed(party: Party, seen: str, fingerprint: str, expected: str, where: str) -> HostKeyChanged:
    """The error for a key that is another than before."""
    if party.device is not None and where == "devices.toml":
        remedy = (
            f"if you know why it changed, look at both keys and take the new one: lading device rekey {party.device}"
        )
    elif where == "devices.toml":
        remedy = "if you know why it changed, give its new fingerprint"
    else:
        remedy = f"if you know why it changed, take the line {where} out and enrol the new key"
    return HostKeyChanged(
        f"{party.description}: its host key has changed: it shows {seen}, and {where} has {expected}; "
        "it may be another machine, or somebody in between",
        remedy=remedy,
        details={"fingerprint": fingerprint, "expected": expected, "where": where},
    )


def unknown(party: Party, key: HostKey) -> HostKeyUnknown:
    """The error for a key that nobody knows."""
    destination = party.destination
    if party.address is None:
        port = f"-p {destination.port} " if destination.port != DEFAULT_PORT else ""
        remedy = f"compare it, and enrol it with: ssh {port}{destination.user}@{destination.hostname}"
    else:
        verb = f"rekey {party.device}" if party.device is not None else f"add NAME {party.address}"
        remedy = (
            "compare it with what ssh-keygen -lf says of the key on the device (/etc/ssh/ssh_host_*_key.pub), "
            f"then: lading device {verb} --fingerprint {key.fingerprint}"
        )
    authority = ""
    if any(line.marker == AUTHORITY for line in party.lines):
        authority = " (known_hosts has a certificate authority for it, which only ssh+openssh:// follows)"
    return HostKeyUnknown(
        f"{party.description}: its host key is not known: {key}{authority}",
        remedy=remedy,
        details={"fingerprint": key.fingerprint, "key_type": key.kind, "address": party.address},
    )
