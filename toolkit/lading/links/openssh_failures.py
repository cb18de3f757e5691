"""What the system's ``ssh`` says when it does not get through, as errors of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import (
    AuthFailed,
    ConnectionRefused,
    DeviceUnreachable,
    HostKeyUnknown,
    HostNotFound,
    LadingError,
    LinkLost,
    ProxyFailed,
    SshConfigError,
    TimedOut,
)
from lading.links import host_keys, known_hosts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.links.host_keys import Enrolled
    from lading.links.openssh_command import SshCommand

NOISE: Final = re.compile(
    rb"(?:Authenticated to .* using |Transferred: sent \d|Bytes per second: sent |Connecting to |"
    rb"Connection established|Warning: Permanently added )"
)
"""Lines that ssh says in good times, with the verbosity that we ask for."""

_OFFENDING: Final = re.compile(r"Offending .*key.* in (\S+):(\d+)")
_FOLLOWS: Final = re.compile(r"UNKNOWN port|stdio forwarding|kex_exchange_identification|Connection closed by remote")
_DENIED: Final = re.compile(r"Permission denied \(([a-z,@.-]+)\)")


def failure(
    said: Sequence[str],
    status: int | None,
    command: SshCommand,
    *,
    label: str,
    address: str,
    name: str | None,
    enrolled: Enrolled | None,
) -> LadingError:
    """The error for an ``ssh`` that ended before anybody was let in.

    Args:
        said: its lines on standard error.
        status: its exit status.
        command: how it was called.
        label: what messages call the device.
        address: the device's address.
        name: the device's name in ``devices.toml``.
        enrolled: the key that it has there.
    """
    text = "\n".join(said)
    reason = next((line for line in reversed(said) if line.strip()), f"it ended with status {status}")[:300]
    place = command.settings.place
    details = {"said": text[-2000:], "status": status}
    if "REVOKED HOST KEY" in text or "is marked as revoked" in text or "has been revoked" in text:
        return host_keys.revoked(label, command.seen(), "")
    if "Host key verification failed" in text or "HOST IDENTIFICATION HAS CHANGED" in text:
        return _host_key(text, command, label=label, address=address, name=name, enrolled=enrolled)
    denied = _DENIED.search(text)
    if denied or "Too many authentication failures" in text:
        allowed = denied[1].split(",") if denied else []
        user = command.settings.get("user")
        return AuthFailed(
            f"{label}: '{user}' is not let in: {reason}",
            remedy=f"check the user's name, and that your public key is in the authorized_keys of '{user}' there; "
            "without a terminal ssh asks for nothing",
            details={"user": user, "allowed": allowed, **details},
        )
    if re.search(r"open failed|stdio forwarding failed|UNKNOWN port|[Pp]roxy", text) and command.settings.proxied:
        return ProxyFailed(
            f"{label}: the way to {place} is not open: {_telling(said) or reason}",
            remedy="try ProxyJump or ProxyCommand of ~/.ssh/config by hand with ssh",
            details=details,
        )
    if "Could not resolve hostname" in text:
        return HostNotFound(
            f"{label}: no address is known for '{command.settings.get('hostname')}': {reason}",
            remedy="check the name, and that the device is in this network; its IP address works too",
            details=details,
        )
    if "Connection refused" in text:
        return ConnectionRefused(
            f"{label}: nobody listens at {place}",
            remedy="check the port, and that the SSH server runs on the device",
            details=details,
        )
    if "timed out" in text or "Timeout" in text:
        return TimedOut(
            f"{label}: {place} does not answer ({command.timeout_s:g} s waited)",
            remedy="check that the device is on, in this network and not behind a firewall; "
            "ConnectTimeout in ~/.ssh/config waits longer",
            details=details,
        )
    if "Bad configuration option" in text or "bad configuration options" in text:
        return SshConfigError(f"{label}: ssh does not take its configuration: {reason}", remedy="correct ~/.ssh/config")
    if re.search(r"Connection (?:closed|reset)|kex_exchange_identification|banner", text):
        return LinkLost(
            f"{label}: {place} hung up before SSH began: {reason}",
            remedy="see whether an SSH server listens there and takes connections from here",
            details=details,
        )
    return DeviceUnreachable(
        f"{label}: ssh does not get through: {reason}", remedy="try the same with ssh by hand", details=details
    )


def _telling(said: Sequence[str]) -> str:
    """The line that says why a proxy failed: the last ones only say that it did."""
    lines = [line for line in said if line.strip() and not _FOLLOWS.search(line)]
    return lines[-1][:300] if lines else ""


def _host_key(
    text: str, command: SshCommand, *, label: str, address: str, name: str | None, enrolled: Enrolled | None
) -> LadingError:
    seen = command.seen()
    if not seen and command.settings.proxied:
        last = _telling([line for line in text.splitlines() if "host key" in line.lower()])
        return HostKeyUnknown(
            f"{label}: the host key of a host on the way is not trusted: {last}",
            remedy="connect to that host once with ssh, and compare its fingerprint",
        )
    if enrolled is not None:
        return host_keys.changed(label, name, seen or "another key", str(enrolled), host_keys.OWN_FILE)
    offending = _OFFENDING.search(text)
    if offending is not None:
        lines = [k for k in known_hosts.read([Path(offending[1])]) if k.number == int(offending[2])]
        expected = str(lines[0].key) if lines else "another one"
        return host_keys.changed(label, name, seen or "another key", expected, f"{offending[1]}:{offending[2]}")
    return host_keys.unknown(label, name, address, seen)
