"""Serial ports of this computer, and such behind a TCP port, as ports of a line."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import termios
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.errors import DeviceUnreachable, PortInUse, PortRefused

if TYPE_CHECKING:
    import socket

    from lading.devices.address import Serial, SerialRfc2217, SerialSocket

POLL_S: Final = 0.05


class SerialPort:
    """An open port: :class:`lading_agent.line.stream.Port`.

    Args:
        url: what pyserial opens: a device file, ``socket://…`` or ``rfc2217://…``.
        description: the device's address, for messages.
        baud: bits a second; None where the line has no speed of its own.
        rtscts: whether RTS and CTS hold the line up.

    Raises:
        PortRefused: it may not be used by this user.
        PortInUse: another program has it.
        DeviceUnreachable: there is no such port, or nobody listens there.
    """

    def __init__(self, url: str, description: str, *, baud: int | None = None, rtscts: bool = False) -> None:
        import serial

        self.description = description
        self._failure = serial.SerialException
        try:
            options: dict[str, Any] = {} if "://" in url else {"exclusive": True}
            with warnings.catch_warnings():  # pyserial starts a thread in an old way
                warnings.simplefilter("ignore", DeprecationWarning)
                self._serial: Any = serial.serial_for_url(
                    url, baudrate=baud or 115200, timeout=POLL_S, rtscts=rtscts, **options
                )
        except (serial.SerialException, OSError, ValueError, OverflowError, termios.error) as error:
            raise _refused(error, url, description) from error
        self._baud = baud
        # A local port is read without pyserial in between: whatever is there, at once.
        self._fd: int | None = None if "://" in url else self._serial.fileno()
        if self._fd is None:
            with contextlib.suppress(OSError):
                _no_delay(_socket_of(self._serial))

    @property
    def baud(self) -> int | None:
        """Bits a second; None where the line has no speed of its own."""
        return self._baud

    def read(self, limit: int, timeout_s: float) -> bytes:
        """1 to ``limit`` bytes; none when the time is over."""
        if self._fd is not None:
            if not select.select([self._fd], [], [], timeout_s)[0]:
                return b""
            data = os.read(self._fd, limit)
            if not data:
                raise OSError(errno.EIO, "the port was unplugged")
            return data
        rounds = max(1, round(timeout_s / POLL_S))
        for _ in range(rounds):
            try:
                first = self._serial.read(1)
                if first:
                    more = min(limit - 1, self._serial.in_waiting)
                    return bytes(first + self._serial.read(more)) if more else bytes(first)
            except self._failure as error:
                raise OSError(errno.EIO, str(error)) from error
        return b""

    def write(self, data: bytes) -> None:
        """Hand over all of ``data``."""
        if self._fd is not None:
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(self._fd, view) :]
                except BlockingIOError:
                    select.select([], [self._fd], [], 1.0)
            return
        try:
            self._serial.write(data)
        except self._failure as error:
            raise OSError(errno.EIO, str(error)) from error

    def set_baud(self, baud: int) -> None:
        """Change the speed.

        Raises:
            OSError: the port does not do it.
        """
        try:
            self._serial.baudrate = baud
        except (self._failure, ValueError, OverflowError, termios.error) as error:
            raise OSError(errno.EINVAL, str(error)) from error
        self._baud = baud

    def close(self) -> None:
        """Let go of it; others may use it."""
        inner = _socket_of(self._serial)
        with contextlib.suppress(OSError, self._failure):
            self._serial.close()
        if inner is not None:  # pyserial lets it lie when the other end has gone first
            inner.close()


def open_port(address: Serial | SerialSocket | SerialRfc2217, label: str | None = None) -> SerialPort:
    """The port that an address names; ``label`` is what messages call it.

    Raises:
        PortRefused, PortInUse, DeviceUnreachable: it cannot be opened; the message says why, the remedy what to do.
    """
    from lading.devices.address import Serial, SerialRfc2217

    label = label or str(address)
    if isinstance(address, Serial):
        return SerialPort(address.path, label, baud=address.baud, rtscts=address.rtscts)
    host = f"[{address.host}]" if ":" in address.host else address.host
    if isinstance(address, SerialRfc2217):
        return SerialPort(f"rfc2217://{host}:{address.port}", label, baud=address.baud)
    return SerialPort(f"socket://{host}:{address.port}", label)


def _no_delay(inner: socket.socket | None) -> None:
    import socket

    if inner is not None:
        inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _socket_of(port: Any) -> socket.socket | None:
    import socket

    inner = getattr(port, "_socket", None)
    return inner if isinstance(inner, socket.socket) else None


def _refused(error: Exception, url: str, description: str) -> DeviceUnreachable:
    number = getattr(error, "errno", None)
    if "://" not in url:
        if number == errno.EACCES:
            return PortRefused(
                f"{description}: you may not use {url}{_owned_by(url)}", remedy=f"{_membership(url)}, then log in again"
            )
        if number in (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK) or "exclusively lock" in str(error):
            holders = holders_of(url)
            who = f"is in use by {', '.join(holders)}" if holders else "is in use by another program"
            return PortInUse(
                f"{description}: {url} {who}",
                remedy="end that program (ModemManager: sudo systemctl stop ModemManager), then try again",
            )
        if number in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
            return DeviceUnreachable(
                f"{description}: there is no port {url}",
                remedy=f"plug the adapter in, or give another one{_listed()}",
            )
        if number == errno.ENOTTY or isinstance(error, termios.error) or "configure port" in str(error):
            return DeviceUnreachable(
                f"{description}: {url} is no serial port", remedy=f"give the port of a serial line{_listed()}"
            )
        reason = os.strerror(number) if number else str(error)
        return DeviceUnreachable(
            f"{description}: {url} cannot be opened: {reason}", remedy=f"give the port of a serial line{_listed()}"
        )
    if "support RFC2217" in str(error):
        return DeviceUnreachable(
            f"{description}: what listens there is no port server of RFC 2217",
            remedy="serial+socket:// is for servers that pass a line's bytes on as they are",
        )
    if "rejected value" in str(error) or "accept parameter" in str(error):
        return DeviceUnreachable(
            f"{description}: the port server does not set its port as it is asked to: {error}",
            remedy="another speed may do (?baud=…)",
        )
    return DeviceUnreachable(
        f"{description}: nobody answers there: {error}", remedy="see that the port server or the board runs"
    )


def _listed() -> str:
    there = serial_ports()
    return f"; ports of this computer: {', '.join(there)}" if there else "; this computer has none at the moment"


def _owned_by(path: str) -> str:
    import grp

    try:
        group = grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return ""
    return f", which is for the group {group}"


def _membership(path: str) -> str:
    import grp

    try:
        status = Path(path).stat()
        group = grp.getgrgid(status.st_gid).gr_name
        if status.st_mode & stat.S_IWGRP and group != "root":
            return f"sudo usermod -aG {group} $USER"
    except (OSError, KeyError):
        pass
    return "sudo usermod -aG dialout $USER"


def holders_of(path: str) -> list[str]:
    """Programs that have a device file open, as far as this user may know: ``name (process id)``."""
    real = os.path.realpath(path)
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(fd.readlink() == Path(real) for fd in (process / "fd").iterdir()):
                found.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return found


def serial_ports() -> list[str]:
    """Device files of this computer's serial ports."""
    from serial.tools import list_ports

    return sorted(port.device for port in list_ports.comports())
