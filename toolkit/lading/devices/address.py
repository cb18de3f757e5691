"""Device addresses: what each scheme means, read from text and written back.

::

    ssh://[user@]host[:port]            keys: home
    ssh+openssh://[user@]host[:port]    keys: home
    serial:///dev/ttyUSB0               keys: baud, user, rtscts, speed, home
    serial+socket://host:port           keys: user, home
    serial+rfc2217://host:port          keys: baud, user, speed, home
    serial+smp:///dev/ttyACM0           keys: baud, root, firmware
    udp+smp://host[:port]               keys: root, firmware
    board://NAME[#UART]
    emulated://TARGET                   keys: firmware, state, name

Keys follow a ``?`` and are joined by ``&``. IPv6 hosts stand in brackets. Characters with a meaning of their own are
written as ``%xx``. An address never holds a password. :func:`parse` and ``str()`` are each other's inverse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from lading import names
from lading.devices import syntax
from lading.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading.devices.syntax import Parts

DEFAULT_BAUD: Final = 115200
SMP_PORT: Final = 1337
"""The UDP port that MCUmgr listens on unless told otherwise."""


@dataclass(frozen=True)
class _Base:
    scheme: ClassVar[str]

    def __str__(self) -> str:
        return format_address(self)  # type: ignore[arg-type]  # each subclass is a member of the union


@dataclass(frozen=True)
class Ssh(_Base):
    """A Linux board over SSH; ``user`` and ``port`` of None leave the choice to the ssh configuration."""

    scheme: ClassVar[str] = "ssh"
    host: str
    user: str | None = None
    port: int | None = None
    home: str | None = None
    """The agent's folder on the device."""


@dataclass(frozen=True)
class OpenSsh(Ssh):
    """The same, through the system's own ``ssh`` program."""

    scheme: ClassVar[str] = "ssh+openssh"


@dataclass(frozen=True)
class Serial(_Base):
    """The login console of a Linux board on a local serial port."""

    scheme: ClassVar[str] = "serial"
    path: str
    baud: int = DEFAULT_BAUD
    user: str | None = None
    rtscts: bool = False
    home: str | None = None
    speed: int | None = None
    """Bits a second to change to once the console was found at ``baud``."""


@dataclass(frozen=True)
class SerialSocket(_Base):
    """A login console whose bytes come over TCP as they are."""

    scheme: ClassVar[str] = "serial+socket"
    host: str
    port: int
    user: str | None = None
    home: str | None = None


@dataclass(frozen=True)
class SerialRfc2217(_Base):
    """A login console behind a port server that also takes the line's settings (RFC 2217)."""

    scheme: ClassVar[str] = "serial+rfc2217"
    host: str
    port: int
    baud: int = DEFAULT_BAUD
    user: str | None = None
    home: str | None = None
    speed: int | None = None
    """Bits a second to change to once the console was found at ``baud``."""


@dataclass(frozen=True)
class SerialSmp(_Base):
    """A microcontroller that speaks SMP on a local serial port."""

    scheme: ClassVar[str] = "serial+smp"
    path: str
    baud: int = DEFAULT_BAUD
    root: str | None = None
    """The folder of its file system that lading uses."""
    firmware: str | None = None
    """The firmware profile, by name."""


@dataclass(frozen=True)
class UdpSmp(_Base):
    """A microcontroller that speaks SMP over UDP."""

    scheme: ClassVar[str] = "udp+smp"
    host: str
    port: int = SMP_PORT
    root: str | None = None
    firmware: str | None = None


@dataclass(frozen=True)
class Board(_Base):
    """A QEMU board that ``lading board`` runs; with ``uart`` its console instead of its network."""

    scheme: ClassVar[str] = "board"
    name: str
    uart: str | None = None


@dataclass(frozen=True)
class Emulated(_Base):
    """An agent on this machine that behaves as a target with a firmware profile; both by name or unique prefix."""

    scheme: ClassVar[str] = "emulated"
    target: str
    firmware: str | None = None
    state: str | None = None
    """The folder that keeps its state; None is a folder below the user's own."""
    name: str | None = None
    """Tells several emulated devices of one target and firmware apart."""


Address: TypeAlias = Ssh | OpenSsh | Serial | SerialSocket | SerialRfc2217 | SerialSmp | UdpSmp | Board | Emulated


def parse(text: str) -> Address:
    """The address that a text holds.

    Raises:
        AddressError: what is wrong with it, and how such an address is written. Nothing of a password is repeated.
    """
    parts = syntax.split(text)
    form = _FORMS.get(parts.scheme)
    if form is None:
        close = names.near(parts.scheme, _FORMS)
        raise AddressError(
            f"'{syntax.shown(text)}': no scheme '{syntax.shown(parts.scheme)}://' is known",
            remedy=f"did you mean {close[0]}://?" if close else f"known are {', '.join(f'{s}://' for s in _FORMS)}",
        )
    try:
        _check_keys(parts, form)
        return form.read(parts)
    except syntax.Bad as bad:
        raise AddressError(
            f"'{syntax.shown(text)}' is not a device address: {bad}", remedy=bad.remedy or f"write {form.example}"
        ) from None


def _check_keys(parts: Parts, form: _Form) -> None:
    for key in parts.query:
        if key not in form.keys:
            close = names.near(key, form.keys)
            hint = f"did you mean '{close[0]}'? " if close else ""
            known = ", ".join(form.keys) or "none"
            raise syntax.Bad(f"unknown key '{syntax.shown(key)}'", f"{hint}keys of {parts.scheme}:// are: {known}")
    if parts.fragment is not None and form.read is not _read_board:
        raise syntax.Bad("a '#' has no meaning here", "write '%23' for a '#' in a path")


def format_address(address: Address) -> str:
    """The shortest text that :func:`parse` reads as ``address``."""
    keys: dict[str, str | int | bool | None] = {}
    match address:
        case Ssh(host, user, port, home):  # OpenSsh as well
            rest = (f"{user}@" if user is not None else "") + syntax.join_host(host, port)
            keys = {"home": home}
        case Serial(path, baud, user, rtscts, home, speed):
            rest = syntax.quoted_path(path)
            keys = {
                "baud": _unless(baud, DEFAULT_BAUD),
                "user": user,
                "rtscts": rtscts or None,
                "speed": speed,
                "home": home,
            }
        case SerialSocket(host, port, user, home):
            rest = syntax.join_host(host, port)
            keys = {"user": user, "home": home}
        case SerialRfc2217(host, port, baud, user, home, speed):
            rest = syntax.join_host(host, port)
            keys = {"baud": _unless(baud, DEFAULT_BAUD), "user": user, "speed": speed, "home": home}
        case SerialSmp(path, baud, root, firmware):
            rest = syntax.quoted_path(path)
            keys = {"baud": _unless(baud, DEFAULT_BAUD), "root": root, "firmware": firmware}
        case UdpSmp(host, port, root, firmware):
            rest = syntax.join_host(host, _unless(port, SMP_PORT))
            keys = {"root": root, "firmware": firmware}
        case Board(name, uart):
            rest = name + (f"#{uart}" if uart is not None else "")
        case Emulated(target, firmware, state, name):
            rest = target
            keys = {"firmware": firmware, "state": state, "name": name}
    return f"{address.scheme}://{rest}{syntax.join_query(keys)}"


def _unless(value: int, default: int) -> int | None:
    return None if value == default else value


def _read_ssh(parts: Parts) -> Address:
    kind = OpenSsh if parts.scheme == OpenSsh.scheme else Ssh
    user, host, port = syntax.user_host_port(parts.rest)
    return kind(host, user, port, syntax.folder(parts.query, "home"))


def _read_serial(parts: Parts) -> Address:
    query = parts.query
    return Serial(
        syntax.device_path(parts.rest),
        syntax.baud(query, DEFAULT_BAUD),
        syntax.user(query),
        syntax.flag(query, "rtscts"),
        syntax.folder(query, "home"),
        _speed(query),
    )


def _read_serial_socket(parts: Parts) -> Address:
    host, port = syntax.host_port(parts.rest)
    return SerialSocket(host, port, syntax.user(parts.query), syntax.folder(parts.query, "home"))


def _read_serial_rfc2217(parts: Parts) -> Address:
    host, port = syntax.host_port(parts.rest)
    query = parts.query
    return SerialRfc2217(
        host,
        port,
        syntax.baud(query, DEFAULT_BAUD),
        syntax.user(query),
        syntax.folder(query, "home"),
        _speed(query),
    )


def _speed(query: Mapping[str, str]) -> int | None:
    return syntax.baud(query, DEFAULT_BAUD, "speed") if "speed" in query else None


def _read_serial_smp(parts: Parts) -> Address:
    query = parts.query
    return SerialSmp(
        syntax.device_path(parts.rest),
        syntax.baud(query, DEFAULT_BAUD),
        syntax.folder(query, "root"),
        syntax.name(query, "firmware"),
    )


def _read_udp_smp(parts: Parts) -> Address:
    host, port = syntax.host_port(parts.rest, SMP_PORT)
    return UdpSmp(host, port, syntax.folder(parts.query, "root"), syntax.name(parts.query, "firmware"))


def _read_board(parts: Parts) -> Address:
    uart = parts.fragment
    return Board(syntax.a_name(parts.rest, "board"), None if uart is None else syntax.a_name(uart, "UART"))


def _read_emulated(parts: Parts) -> Address:
    query = parts.query
    return Emulated(
        syntax.a_name(parts.rest, "target"),
        syntax.name(query, "firmware"),
        syntax.folder(query, "state"),
        syntax.name(query, "name"),
    )


@dataclass(frozen=True)
class _Form:
    read: Callable[[Parts], Address]
    example: str
    keys: tuple[str, ...] = ()


_FORMS: Final[Mapping[str, _Form]] = {
    "ssh": _Form(_read_ssh, "ssh://pi@raspberrypi.local:22", ("home",)),
    "ssh+openssh": _Form(_read_ssh, "ssh+openssh://pi@raspberrypi.local:22", ("home",)),
    "serial": _Form(_read_serial, "serial:///dev/ttyUSB0?baud=115200", ("baud", "user", "rtscts", "speed", "home")),
    "serial+socket": _Form(_read_serial_socket, "serial+socket://127.0.0.1:5000", ("user", "home")),
    "serial+rfc2217": _Form(_read_serial_rfc2217, "serial+rfc2217://127.0.0.1:2217", ("baud", "user", "speed", "home")),
    "serial+smp": _Form(_read_serial_smp, "serial+smp:///dev/ttyACM0?baud=115200", ("baud", "root", "firmware")),
    "udp+smp": _Form(_read_udp_smp, "udp+smp://192.0.2.1:1337", ("root", "firmware")),
    "board": _Form(_read_board, "board://debian-arm64"),
    "emulated": _Form(_read_emulated, "emulated://raspberry-pi-4b", ("firmware", "state", "name")),
}

SCHEMES: Final = tuple(_FORMS)
