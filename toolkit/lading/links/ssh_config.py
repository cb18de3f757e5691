"""``ssh_config``: what the user's and the system's configuration say of a host.

Of each setting the first value counts, as in OpenSSH; ``IdentityFile`` collects. Blocks of ``Match`` are followed as
far as they ask for ``all``, ``host``, ``originalhost``, ``user`` and ``localuser``; more is left to OpenSSH itself.
"""

from __future__ import annotations

import fnmatch
import getpass
import os
import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import SshConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM_CONFIG: Final = Path("/etc/ssh/ssh_config")
DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")
DEFAULT_PORT: Final = 22
DEEPEST: Final = 16
LARGEST: Final = 1024 * 1024
COLLECTED: Final = frozenset({"identityfile", "certificatefile"})
RAW: Final = frozenset({"proxycommand", "proxyjump"})
"""Settings whose value is the rest of the line as it stands."""
TO_OPENSSH: Final = "use ssh+openssh:// in place of ssh://: the system's own ssh follows it"

_LINE: Final = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+|$)(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True)
class Places:
    """Where the configuration is."""

    home: Path = field(default_factory=Path.home)
    config: Path | None = None
    """Another file than the user's; then the system's does not count either."""

    def files(self) -> list[tuple[Path, Path]]:
        """Files in their order, each with the folder that relative names in it start from."""
        if self.config is not None:
            return [(self.config, self.home / ".ssh")]
        return [(self.home / ".ssh" / "config", self.home / ".ssh"), (SYSTEM_CONFIG, SYSTEM_CONFIG.parent)]


@dataclass(frozen=True)
class Destination:
    """A host, with everything that the configuration says of it."""

    host: str
    """As the user wrote it."""
    hostname: str
    """What is connected to."""
    port: int
    user: str
    identity_files: tuple[Path, ...]
    identities_named: bool
    """Whether the files were named, or are just the usual ones."""
    identities_only: bool
    identity_agent: str | None
    """Where the agent listens; None is ``SSH_AUTH_SOCK``, ``none`` no agent."""
    jumps: tuple[str, ...]
    proxy_command: str | None
    known_hosts: tuple[Path, ...]
    """The user's files, then the system's."""
    key_alias: str | None
    connect_timeout_s: float | None
    alive_interval_s: float | None
    alive_count: int | None
    family: int


def look_up(
    host: str, *, user: str | None = None, port: int | None = None, places: Places | None = None
) -> Destination:
    """What is known of a host.

    Args:
        host: as the user wrote it.
        user: goes before the configuration's.
        port: goes before the configuration's.
        places: where the configuration is.

    Raises:
        SshConfigError: it is wrong, or needs OpenSSH itself.
    """
    places = places or Places()
    found = _Search(host, user, places)
    for file, folder in places.files():
        found.read(file, folder, active=True, depth=0)
    return _destination(found, user, port, places)


class _Search:
    """The settings that hold for one host, as the files are read."""

    def __init__(self, host: str, user: str | None, places: Places) -> None:
        self.host = host
        self.user = user
        self.places = places
        self.values: dict[str, list[str]] = {}

    def read(self, file: Path, folder: Path, *, active: bool, depth: int) -> None:
        """Read a file; ``active`` says whether its first lines count."""
        try:
            with file.open("rb") as stream:
                data = stream.read(LARGEST + 1)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            if depth or file != self.places.config:
                return  # OpenSSH goes on without a file that it may not read
            raise SshConfigError(f"{file}: cannot be read: {error.strerror}", remedy="check its permissions") from error
        if len(data) > LARGEST:
            raise SshConfigError(f"{file}: is larger than {LARGEST} bytes", remedy="this is no ssh_config")
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            where = f"{file}:{number}"
            match = _LINE.fullmatch(text)
            if match is None:
                raise SshConfigError(f"{where}: this is not 'Keyword value'", remedy="correct the line")
            keyword, rest = match[1].lower(), match[2].strip()
            if keyword == "host":
                active = self._host(words(rest, where))
            elif keyword == "match":
                active = self._match(words(rest, where), where)
            elif not active:
                continue
            elif keyword == "include":
                self._include(words(rest, where), folder, where, depth)
            else:
                self._set(keyword, rest if keyword in RAW else words(rest, where), where)

    def _set(self, keyword: str, value: str | list[str], where: str) -> None:
        if not value:
            raise SshConfigError(f"{where}: '{keyword}' has no value", remedy="write one behind it")
        given = [value] if isinstance(value, str) else value
        if keyword in COLLECTED:
            self.values.setdefault(keyword, []).extend(given[:1])
        elif keyword in {"proxycommand", "proxyjump"} and self.values.keys() & {"proxycommand", "proxyjump"}:
            return  # the first of the two counts
        else:
            self.values.setdefault(keyword, given)

    def _include(self, patterns: list[str], folder: Path, where: str, depth: int) -> None:
        if depth >= DEEPEST:
            raise SshConfigError(
                f"{where}: files include each other more than {DEEPEST} deep", remedy="see whether one includes itself"
            )
        for pattern in patterns:
            name = _tilde(_variables(pattern, where), self.places.home)
            whole = folder / name
            root = Path(whole.anchor)
            try:
                files = sorted(root.glob(str(whole.relative_to(root))))
            except (ValueError, NotImplementedError, OSError):
                files = []
            for file in files:
                self.read(file, folder, active=True, depth=depth + 1)

    def _host(self, patterns: list[str]) -> bool:
        return pattern_list(patterns, self.host)

    def _match(self, criteria: list[str], where: str) -> bool:
        """Whether a ``Match`` holds."""
        rest = list(criteria)
        undecided = ""
        while rest:
            word = rest.pop(0)
            negated = word.startswith("!")
            name, equals, value = word.lstrip("!").partition("=")
            name = name.lower()
            if name == "all":
                continue
            if name in {"canonical", "final"}:
                undecided = undecided or name
                continue
            if not equals:
                if not rest:
                    raise SshConfigError(f"{where}: 'Match {name}' has no value", remedy="write one behind it")
                value = rest.pop(0)
            subject = self._subject(name)
            if subject is None:
                undecided = undecided or name
            elif pattern_list(value.split(","), subject) == negated:
                return False
        if undecided:
            raise SshConfigError(
                f"{where}: 'Match {undecided}' may hold for {self.host}, and lading cannot tell", remedy=TO_OPENSSH
            )
        return True

    def _subject(self, criterion: str) -> str | None:
        match criterion:
            case "host":
                return self.values.get("hostname", [self.host])[0].replace("%h", self.host)
            case "originalhost":
                return self.host
            case "user":
                return self.user or self.values.get("user", [getpass.getuser()])[0]
            case "localuser":
                return getpass.getuser()
        return None


def words(text: str, where: str = "") -> list[str]:
    """The words of a value: quotes hold words together, a ``#`` that starts a word ends the line.

    Raises:
        SshConfigError: a quote has no end.
    """
    found: list[str] = []
    rest = text
    while rest := rest.lstrip():
        if rest.startswith("#"):
            break
        word, rest = _word(rest, where)
        found.append(word)
    return found


def _word(text: str, where: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\" and text[at + 1 : at + 2] in {"'", '"', "\\"}:
            word.append(text[at + 1])
            at += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                word.append(char)
        elif char in "'\"":
            quote = char
        elif char.isspace():
            break
        else:
            word.append(char)
        at += 1
    if quote:
        raise SshConfigError(f"{where}: a {quote} has no end", remedy="close it")
    return "".join(word), text[at:]


def pattern_list(patterns: list[str], name: str) -> bool:
    """Whether one of the patterns fits, and none that begins with ``!``. Case does not count."""
    fits = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if one_pattern(pattern.lstrip("!"), name):
            if negated:
                return False
            fits = True
    return fits


def one_pattern(pattern: str, name: str) -> bool:
    """Whether a pattern with ``*`` and ``?`` fits. Brackets stand for themselves: they belong to addresses."""
    return fnmatch.fnmatchcase(name.lower(), pattern.lower().replace("[", "[[]"))


def _destination(found: _Search, user: str | None, port: int | None, places: Places) -> Destination:
    def first(keyword: str, default: str | None = None) -> str | None:
        return found.values.get(keyword, [default])[0]

    if (first("canonicalizehostname") or "no").lower() in {"yes", "always"}:
        raise SshConfigError(
            f"ssh_config: CanonicalizeHostname holds for {found.host}, and lading does not do that", remedy=TO_OPENSSH
        )
    hostname = _tokens(first("hostname") or found.host, {"h": found.host}, "HostName")
    chosen_port = port or _number(first("port"), "Port", 65535) or DEFAULT_PORT
    chosen_user = user or first("user") or getpass.getuser()
    alias = first("hostkeyalias")
    local = socket.gethostname()
    tokens = {
        "h": hostname,
        "n": found.host,
        "p": str(chosen_port),
        "r": chosen_user,
        "u": getpass.getuser(),
        "d": str(places.home),
        "i": str(os.getuid()),
        "l": local,
        "L": local.partition(".")[0],
        "k": alias or found.host,
    }

    def path(text: str, keyword: str) -> Path:
        return Path(_tilde(_tokens(_variables(text, keyword), tokens, keyword), places.home))

    folder = places.home / ".ssh"
    named = [name for name in found.values.get("identityfile", []) if name.lower() != "none"]
    usual = () if "identityfile" in found.values else tuple(folder / name for name in DEFAULT_KEYS)
    files = tuple(path(name, "IdentityFile") for name in named)
    users_files = found.values.get("userknownhostsfile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"])
    systems_files = found.values.get("globalknownhostsfile", ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"])
    jump = first("proxyjump")
    command = first("proxycommand")
    return Destination(
        host=found.host,
        hostname=hostname,
        port=chosen_port,
        user=chosen_user,
        identity_files=files or usual,
        identities_named=bool(files),
        identities_only=(first("identitiesonly") or "no").lower() in {"yes", "true"},
        identity_agent=_agent(first("identityagent"), path),
        jumps=tuple(j.strip() for j in jump.split(",") if j.strip()) if jump and jump.lower() != "none" else (),
        proxy_command=_tokens(command, tokens, "ProxyCommand") if command and command.lower() != "none" else None,
        known_hosts=tuple(
            path(name, "UserKnownHostsFile") for name in [*users_files, *systems_files] if name.lower() != "none"
        ),
        key_alias=alias,
        connect_timeout_s=_seconds(first("connecttimeout"), "ConnectTimeout"),
        alive_interval_s=_seconds(first("serveraliveinterval"), "ServerAliveInterval"),
        alive_count=_number(first("serveralivecountmax"), "ServerAliveCountMax", 10_000),
        family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(
            (first("addressfamily") or "any").lower(), socket.AF_UNSPEC
        ),
    )


def _agent(text: str | None, path: object) -> str | None:
    if text is None or text == "SSH_AUTH_SOCK":
        return None
    if text.lower() == "none":
        return "none"
    if text.startswith("$") and not text.startswith("${"):
        return os.environ.get(text[1:], "none")
    assert callable(path)
    return str(path(text, "IdentityAgent"))


def _tilde(text: str, home: Path) -> str:
    return str(home) + text[1:] if text == "~" or text.startswith("~/") else os.path.expanduser(text)  # noqa: PTH111


def _variables(text: str, where: str) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise SshConfigError(f"{where}: the variable {match[1]} is not set", remedy="set it, or write the value")
        return os.environ[match[1]]

    return _VARIABLE.sub(value, text)


def _tokens(text: str, tokens: Mapping[str, str], keyword: str) -> str:
    def value(match: re.Match[str]) -> str:
        letter = match[1]
        if letter == "%":
            return "%"
        if letter not in tokens:
            raise SshConfigError(f"ssh_config: {keyword}: lading does not know '%{letter}' there", remedy=TO_OPENSSH)
        return tokens[letter]

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


def _number(text: str | None, keyword: str, most: int) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > most:
        raise SshConfigError(f"ssh_config: {keyword} '{text}' is not a number up to {most}", remedy="correct it")
    return int(text)


def _seconds(text: str | None, keyword: str) -> float | None:
    """``90``, ``5m``, ``1h30m``: seconds; None for 0 and ``none``."""
    if text is None or text.lower() == "none":
        return None
    if not re.fullmatch(r"(?:[0-9]{1,9}[sSmMhHdDwW]?)+", text):
        raise SshConfigError(f"ssh_config: {keyword} '{text}' is not a time", remedy="write seconds, or as in 5m")
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    total = sum(int(n) * units[u.lower()] for n, u in re.findall(r"([0-9]+)([a-zA-Z]?)", text))
    return float(total) or None
