"""A connection to an SSH server through paramiko, host key judged and user let in; also over other hosts."""

from __future__ import annotations

import contextlib
import logging
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.devices import syntax
from lading.errors import (
    DeviceUnreachable,
    HostKeyChanged,
    LadingError,
    LinkLost,
    ProxyFailed,
    SshConfigError,
)
from lading.links.host_keys import OWN_FILE, Party, changed, judge, refuse_revoked
from lading.links.known_hosts import HostKey
from lading.links.secrets import Secrets, UserSecrets
from lading.links.ssh_auth import Login
from lading.links.ssh_config import Places, look_up
from lading.links.ssh_route import ProxyCommand, connect_tcp, timed_out

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from paramiko import Transport

WINDOW: Final = 16 * 1024 * 1024
PACKET: Final = 32 * 1024
CONNECT_S: Final = 15.0
MOST_HOPS: Final = 8
CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
"""In the order of their speed here; what is broken or old is not spoken at all."""
FAMILIES: Final = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""Types of host keys, the preferred first."""


@dataclass(frozen=True)
class Options:
    """How connections are made."""

    places: Places = field(default_factory=Places)
    secrets: Secrets = field(default_factory=UserSecrets)
    connect_timeout_s: float | None = None
    """How long each step may take; None is the configuration's ``ConnectTimeout``, or 15 s."""


@dataclass
class SshLine:
    """A connection, and what it stands on."""

    transport: Transport
    key: HostKey
    beneath: list[Callable[[], None]]
    """What is closed after it, in order."""

    def close(self) -> None:
        """Let go of it, and of the way to it."""
        with contextlib.suppress(OSError, EOFError):
            # Its thread sits in a read: left alone, it would look up only after a while.
            self.transport.sock.shutdown(socket.SHUT_RDWR)
        self.transport.close()
        self.transport.join(5.0)
        _close_all(self.beneath)


def open_line(party: Party, options: Options, *, log_in: bool = True) -> SshLine:
    """Connect to a host.

    Args:
        party: the host, and what is known of its key.
        options: how.
        log_in: false only looks at the host's key; it is judged then by what is enrolled and revoked alone.

    Raises:
        DeviceUnreachable: one of its kinds says why not.
        SshConfigError: the configuration is wrong, or needs OpenSSH itself.
    """
    return _open(party, options, log_in=log_in, is_device=True, hops=0, via=None)


def _open(party: Party, options: Options, *, log_in: bool, is_device: bool, hops: int, via: SshLine | None) -> SshLine:
    from paramiko.ssh_exception import IncompatiblePeer

    _quiet()
    orders = _orders(party)
    seen: HostKeyChanged | None = None
    for kinds in orders:
        try:
            line = _handshake(party, options, kinds, hops=hops, via=via)
        except IncompatiblePeer as error:
            if len(orders) > 1:
                continue  # the host has no key of this family
            raise DeviceUnreachable(
                f"{party.description}: the host and lading share no way to speak SSH: {error}",
                remedy="use ssh+openssh://, or update the SSH server",
            ) from error
        try:
            if not log_in and party.enrolled is None:
                refuse_revoked(party.description, str(line.key), party.lines)
            else:
                judge(party, line.key)
            if log_in:
                Login(line.transport, party.destination, party.description, options.secrets, is_device).run()
        except HostKeyChanged as error:
            line.close()
            seen = seen or error
            continue
        except BaseException:
            line.close()
            raise
        return line
    if seen is None:
        seen = changed(party.description, party.device, "no key that lading can read", str(party.enrolled), OWN_FILE)
    raise seen


def _orders(party: Party) -> list[Sequence[str]]:
    """The types of host keys to ask for; several lists are asked for one after the other.

    A fingerprint alone does not say of which type its key is: a host shows one key at a time.
    """
    if party.enrolled is not None and party.enrolled.kind is None:
        return list(FAMILIES)
    everything = [kind for family in FAMILIES for kind in family]
    first = [k for kind in party.kinds for k in (FAMILIES[2] if kind == "ssh-rsa" else (kind,)) if k in everything]
    return [[*first, *(kind for kind in everything if kind not in first)]]


def _handshake(party: Party, options: Options, kinds: Sequence[str], *, hops: int, via: SshLine | None) -> SshLine:
    """Connect and agree on keys; the host's is not judged yet."""
    from paramiko import SSHException, Transport

    patience = options.connect_timeout_s or party.destination.connect_timeout_s or CONNECT_S
    place = f"{party.destination.hostname}:{party.destination.port}"
    sock, proxy, beneath = _way(party, options, patience, hops, via)
    try:
        transport = Transport(sock, default_window_size=WINDOW, default_max_packet_size=PACKET)
        wanted = transport.get_security_options()
        wanted.ciphers = [cipher for cipher in CIPHERS if cipher in wanted.ciphers]
        wanted.key_types = [kind for kind in kinds if kind in wanted.key_types]
        transport.banner_timeout = patience
        transport.handshake_timeout = patience
    except BaseException:
        _close_all(beneath)
        raise
    try:
        try:
            transport.start_client(timeout=2 * patience)
            if not transport.initial_kex_done:
                raise timed_out(party.description, place, 2 * patience)
            key = transport.get_remote_server_key()
        except (SSHException, EOFError, OSError) as error:
            if type(error).__name__ == "IncompatiblePeer":
                raise
            raise (proxy and proxy.failure()) or _no_ssh(error, party.description, place, patience) from error
        return SshLine(transport, HostKey(key.get_name(), key.asbytes()), beneath)
    except BaseException:
        transport.close()
        transport.join(5.0)
        _close_all(beneath)
        raise


def _way(
    party: Party, options: Options, patience: float, hops: int, via: SshLine | None
) -> tuple[Any, ProxyCommand | None, list[Callable[[], None]]]:
    """Something that carries bytes to the host, and what has to be closed after it."""
    destination = party.destination
    if via is not None:
        return _through(via, party, patience), None, []
    if destination.jumps:
        if hops >= MOST_HOPS:
            raise SshConfigError(
                f"{party.description}: ProxyJump leads over more than {MOST_HOPS} hosts",
                remedy="see whether a host in ~/.ssh/config is its own ProxyJump",
            )
        line: SshLine | None = None
        try:
            for jump in destination.jumps:
                before = line
                line = _hop(jump, options, hops + 1, before)
                if before is not None:
                    line.beneath.append(before.close)
            assert line is not None
            return _through(line, party, patience), None, [line.close]
        except BaseException:
            if line is not None:
                line.close()
            raise
    if destination.proxy_command is not None:
        proxy = ProxyCommand(destination.proxy_command, party.description)
        return proxy.socket, proxy, [proxy.close]
    sock = connect_tcp(destination, patience, party.description)
    return sock, None, [sock.close]


def _hop(jump: str, options: Options, hops: int, via: SshLine | None) -> SshLine:
    """A host on the way."""
    try:
        user, host, port = syntax.user_host_port(jump.removeprefix("ssh://"))
    except syntax.Bad as bad:
        raise SshConfigError(
            f"ssh_config: ProxyJump '{syntax.shown(jump)}': {bad}", remedy="write [user@]host[:port]"
        ) from None
    destination = look_up(host, user=user, port=port, places=options.places)
    party = Party.known(f"jump host {syntax.join_host(host, port)}", destination)
    return _open(party, options, log_in=True, is_device=False, hops=hops, via=via)


def _through(line: SshLine, party: Party, patience: float) -> Any:
    """A connection from a host on the way to the next."""
    from paramiko import ChannelException, SSHException

    there = (party.destination.hostname, party.destination.port)
    try:
        return line.transport.open_channel("direct-tcpip", there, ("127.0.0.1", 0), timeout=patience)
    except (ChannelException, SSHException, EOFError, OSError) as error:
        why = error.text if isinstance(error, ChannelException) else str(error)
        raise ProxyFailed(
            f"{party.description}: the jump host does not get through to {there[0]}:{there[1]}: {why or 'it hung up'}",
            remedy="check the address as the jump host sees it, and that it allows forwarding",
        ) from error


def _no_ssh(error: Exception, description: str, place: str, patience: float) -> LadingError:
    """Why no SSH came about."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TimeoutError):
            return timed_out(description, place, patience)
        if isinstance(cause, EOFError | ConnectionError):
            return LinkLost(
                f"{description}: {place} hung up before SSH began",
                remedy="see whether an SSH server listens there and takes connections from here",
            )
        cause = cause.__cause__ or cause.__context__
    return DeviceUnreachable(
        f"{description}: what listens at {place} does not speak SSH as it should: {str(error)[:200]}",
        remedy="check the port",
    )


def _close_all(things: Sequence[Callable[[], None]]) -> None:
    for close in things:
        with contextlib.suppress(OSError, EOFError):
            close()


def _quiet() -> None:
    """Without a handler of its own, paramiko's log would come out on standard error: we say what went wrong."""
    log = logging.getLogger("paramiko")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
