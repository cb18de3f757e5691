"""The way to a host: TCP, a proxy command, or other hosts in between."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from lading.errors import ConnectionRefused, DeviceUnreachable, HostNotFound, LadingError, ProxyFailed, TimedOut
from lading.links.secrets import clean_environment

if TYPE_CHECKING:
    from lading.links.ssh_config import Destination

COMPLAINT_KEPT: Final = 8192
LOST_AFTER_MS: Final = 120_000
"""How long data may stay unacknowledged before the kernel gives a connection up."""


def connect_tcp(destination: Destination, timeout_s: float, description: str) -> socket.socket:
    """A TCP connection.

    Raises:
        HostNotFound, ConnectionRefused, TimedOut, DeviceUnreachable: there is none.
    """
    place = f"{destination.hostname}:{destination.port}"
    try:
        addresses = socket.getaddrinfo(destination.hostname, destination.port, destination.family, socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise HostNotFound(
            f"{description}: no address is known for '{destination.hostname}': {getattr(error, 'strerror', error)}",
            remedy="check the name, and that the device is in this network; its IP address works too",
        ) from error
    failure: LadingError = DeviceUnreachable(f"{description}: '{destination.hostname}' has no address")
    for family, kind, protocol, _, address in addresses:
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(timeout_s)
            link.connect(address)
        except OSError as error:
            link.close()
            failure = _no_connection(error, description, place, timeout_s)
            continue
        except BaseException:
            link.close()
            raise
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(OSError, AttributeError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LOST_AFTER_MS)
        return link
    raise failure


def _no_connection(error: OSError, description: str, place: str, timeout_s: float) -> LadingError:
    if isinstance(error, ConnectionRefusedError):
        return ConnectionRefused(
            f"{description}: nobody listens at {place}",
            remedy="check the port, and that the SSH server runs on the device",
        )
    if isinstance(error, TimeoutError):
        return timed_out(description, place, timeout_s)
    return DeviceUnreachable(
        f"{description}: {place} cannot be reached: {error.strerror or error}",
        remedy="check the address and the network",
    )


def timed_out(description: str, place: str, timeout_s: float) -> TimedOut:
    """The error for a host that says nothing."""
    return TimedOut(
        f"{description}: {place} does not answer ({timeout_s:g} s waited)",
        remedy="check that the device is on, in this network and not behind a firewall; "
        "ConnectTimeout in ~/.ssh/config waits longer",
    )


class ProxyCommand:
    """A program that carries the connection: ``ProxyCommand``."""

    def __init__(self, command: str, description: str) -> None:
        self._description = description
        self._command = command
        self._complaint = bytearray()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", f"exec {command}"],
                    stdin=theirs.fileno(),
                    stdout=theirs.fileno(),
                    stderr=subprocess.PIPE,
                    env=clean_environment(),
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ProxyFailed(
                    f"{description}: the proxy command cannot be started: {error.strerror}",
                    remedy="correct ProxyCommand in ~/.ssh/config",
                ) from error
        self.socket = ours
        self._listener = threading.Thread(target=self._listen, name="proxy-stderr", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(OSError, ValueError):
            while data := os.read(self._process.stderr.fileno(), 4096):
                self._complaint += data
                del self._complaint[:-COMPLAINT_KEPT]

    def failure(self) -> ProxyFailed | None:
        """Why it carries nothing, once the connection ended before SSH began; None while it runs."""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return None
        self._listener.join(1.0)
        said = bytes(self._complaint).decode("utf-8", "replace").strip().splitlines()
        return ProxyFailed(
            f"{self._description}: the proxy command ended with status {status}"
            + (f": {said[-1][:300]}" if said else ""),
            remedy="try ProxyCommand of ~/.ssh/config by hand",
            details={"command": self._command, "status": status},
        )

    def close(self) -> None:
        """End the program."""
        self.socket.close()
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._listener.join(1.0)
        assert self._process.stderr is not None
        self._process.stderr.close()
