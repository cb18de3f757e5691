"""The pieces that device addresses are made of: hosts, ports, paths, keys. Everything that comes in is hostile."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from lading.datafiles import ID
from lading.errors import AddressError

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST: Final = 2048
_LONGEST_SHOWN: Final = 120
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_HOST: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?")
# No '-' in front: the name may end up on the command line of ssh.
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+$-]{0,63}")
_ZONE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,15}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SECRET: Final = re.compile(r"(//[^/?#@:]*):[^/?#]*@")
_SLOWEST, _FASTEST = 50, 20_000_000


class Bad(Exception):
    """A part of an address is wrong; the caller knows the whole address and says so."""

    def __init__(self, cause: str, remedy: str = "") -> None:
        super().__init__(cause)
        self.remedy = remedy


class Parts(NamedTuple):
    """``scheme://rest?query#fragment``; query values are decoded, ``rest`` is as it stood."""

    scheme: str
    rest: str
    query: Mapping[str, str]
    fragment: str | None


def shown(text: str) -> str:
    """The text as a message may repeat it: printable, short, without a password."""
    plain = "".join(c if c.isprintable() else "?" for c in _SECRET.sub(r"\1:***@", text[:_LONGEST]))
    return plain if len(plain) <= _LONGEST_SHOWN else plain[:_LONGEST_SHOWN] + "…"


def split(text: str) -> Parts:
    """Take an address apart.

    Raises:
        AddressError: not of the form ``scheme://rest``, or its keys are not ``key=value``.
    """
    remedy = "write for example ssh://pi@raspberrypi.local, emulated://raspberry-pi-4b or a name from devices.toml"
    if len(text) > _LONGEST:
        raise AddressError(f"'{shown(text)}' is longer than {_LONGEST} characters", remedy=remedy)
    scheme, colon, after = text.partition("://")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise AddressError(f"'{shown(text)}' is not a device address: it has no 'scheme://'", remedy=remedy)
    if not text.isprintable():
        raise AddressError(f"'{shown(text)}' holds characters that cannot be printed", remedy=remedy)
    after, sharp, fragment = after.partition("#")
    rest, _, query_text = after.partition("?")
    query: dict[str, str] = {}
    for item in query_text.split("&") if query_text else []:
        key, equals, value = item.partition("=")
        if not equals or not key or not value:
            raise AddressError(
                f"'{shown(text)}': '{shown(item)}' is not 'key=value'", remedy="write keys as in ?baud=115200&user=pi"
            )
        if key in query:
            raise AddressError(f"'{shown(text)}': the key '{shown(key)}' is there twice", remedy="give it once")
        try:
            query[key] = unquoted(value)
        except Bad as bad:
            raise AddressError(f"'{shown(text)}': key '{shown(key)}': {bad}", remedy=bad.remedy) from None
    return Parts(scheme.lower(), rest, query, fragment if sharp else None)


def unquoted(text: str) -> str:
    """Text with its ``%xx`` decoded."""
    if _BAD_ESCAPE.search(text):
        raise Bad("a '%' is not followed by two hexadecimal digits", "write '%25' for a '%'")
    try:
        plain = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Bad("the bytes written as '%xx' are not UTF-8", "write the bytes of UTF-8 text as '%xx'") from None
    if not plain.isprintable():
        raise Bad("a '%xx' stands for a control character", "leave it away")
    return plain


def join_query(keys: Mapping[str, str | int | bool | None]) -> str:
    """``?key=value&…`` of what is not None; empty where all is."""
    items = [f"{k}={_quoted(v)}" for k, v in keys.items() if v is not None]
    return "?" + "&".join(items) if items else ""


def _quoted(value: str | int | bool) -> str:
    return str(int(value)) if isinstance(value, int) else quote(value, safe="/:@+,~")


def quoted_path(path: str) -> str:
    """A path as it stands in an address."""
    return quote(path, safe="/:@+,~=")


def join_host(host: str, port: int | None) -> str:
    """``host:port``, an IPv6 host in brackets."""
    return (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")


def user_host_port(text: str) -> tuple[str | None, str, int | None]:
    """``[user@]host[:port]``."""
    name, at, place = text.rpartition("@")
    if at and ":" in name:
        raise Bad(
            "a password does not belong in an address",
            "leave it away: lading asks for it, or use a key",
        )
    if at and not _USER.fullmatch(name):
        raise Bad("the user's name in front of '@' is empty or holds other characters than letters, digits, '._-@+$'")
    host, port = _host_maybe_port(place)
    return (name if at else None), host, port


def host_port(text: str, default: int | None = None) -> tuple[str, int]:
    """``host:port``; the port may be missing where there is a default."""
    host, port = _host_maybe_port(text)
    port = default if port is None else port
    if port is None:
        raise Bad("the port is missing")
    return host, port


def _host_maybe_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise Bad("an IPv6 host is written as [address] or [address]:port")
        _check_ipv6(host)
        return host, (_port(after[1:]) if after else None)
    host, colon, port = text.partition(":")
    if ":" in port:
        raise Bad("too many ':'", "an IPv6 host is written in brackets, as in ssh://pi@[2001:db8::1]:22")
    if not host:
        raise Bad("the host is missing")
    if not _HOST.fullmatch(host):
        raise Bad(f"'{shown(host)}' cannot be the name of a host")
    return host, (_port(port) if colon else None)


def _check_ipv6(host: str) -> None:
    number, percent, zone = host.partition("%")
    try:
        ipaddress.IPv6Address(number)
    except ValueError:
        raise Bad(f"'{shown(host)}' is not an IPv6 address") from None
    if percent and not _ZONE.fullmatch(zone):
        raise Bad(f"'{shown(zone)}' cannot be the name of a network interface")


def _port(text: str) -> int:
    if not _NUMBER.fullmatch(text) or not 1 <= int(text) <= 65535:
        raise Bad(f"'{shown(text)}' is not a port: ports are 1 to 65535")
    return int(text)


def device_path(text: str) -> str:
    """The absolute path of a serial port on this machine."""
    path = unquoted(text)
    if not path.startswith("/") or path == "/":
        raise Bad("the path of the port is missing: it is absolute, so three '/' follow the ':'")
    return path


def baud(query: Mapping[str, str], default: int, key: str = "baud") -> int:
    """A key in bits per second."""
    text = query.get(key)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not _SLOWEST <= int(text) <= _FASTEST:
        raise Bad(f"{key} '{shown(text)}' is not a rate between {_SLOWEST} and {_FASTEST}", f"write ?{key}=115200")
    return int(text)


def flag(query: Mapping[str, str], key: str) -> bool:
    """A key that is on or off."""
    text = query.get(key, "0").lower()
    if text not in {"0", "1", "false", "true"}:
        raise Bad(f"{key} '{shown(text)}' is neither 0 nor 1", f"write {key}=1 or leave it away")
    return text in {"1", "true"}


def user(query: Mapping[str, str]) -> str | None:
    """The key ``user``: who logs in."""
    text = query.get("user")
    if text is not None and not _USER.fullmatch(text):
        raise Bad(f"user '{shown(text)}' cannot be a user's name", "use letters, digits and '._-@+$'")
    return text


def folder(query: Mapping[str, str], key: str) -> str | None:
    """A key that holds a path."""
    text = query.get(key)
    if text is not None and text.startswith("-"):
        raise Bad(f"{key} '{shown(text)}' starts with '-'", "write './' in front of it")
    return text


def name(query: Mapping[str, str], key: str) -> str | None:
    """A key that holds a name."""
    text = query.get(key)
    return None if text is None else a_name(text, key)


def a_name(text: str, what: str) -> str:
    """A name of the kind that files and devices have."""
    if not text:
        raise Bad(f"the {what}'s name is missing")
    if not ID.fullmatch(text):
        raise Bad(f"'{shown(text)}' cannot be the name of a {what}", "names have letters, digits, '.', '_' and '-'")
    return text
