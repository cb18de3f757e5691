"""How the system's ``ssh`` is called: what it makes of its configuration, and how it tells which host key it saw."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import DeviceUnreachable, SshConfigError
from lading.links import aes, known_hosts
from lading.links.known_hosts import REVOKED
from lading.links.secrets import clean_environment, on_terminal
from lading.links.ssh_line import CONNECT_S, FAMILIES

if TYPE_CHECKING:
    from lading.devices.address import Ssh
    from lading.links.host_keys import Enrolled
    from lading.links.ssh_line import Options

ALIVE_S: Final = 15
ALIVE_COUNT: Final = 3
CONFIG_S: Final = 30.0

_SPY: Final = 'echo "$1 $2 $3" >>"$0"; if [ "$1" = HOSTNAME ] && [ "$3" = "$4" ]; then echo "$5 $2 $6"; fi'
"""Runs as ``KnownHostsCommand``: notes which key the host showed, and vouches for the enrolled one.

It stands in single quotes, and a percent sign would mean something to ``ssh``: it has neither.
"""


@dataclass
class Settings:
    """What ``ssh -G`` says of a host."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, keyword: str, default: str = "") -> str:
        """A setting; ``none`` is as good as no setting."""
        value = self.values.get(keyword, default)
        return default if value.lower() == "none" else value

    @property
    def proxied(self) -> bool:
        """Whether another host or program is in between."""
        return bool(self.get("proxyjump") or self.get("proxycommand"))

    @property
    def place(self) -> str:
        """``host:port`` for messages."""
        return f"{self.get('hostname')}:{self.get('port', '22')}"


class SshCommand:
    """Command lines of ``ssh`` for one device.

    Args:
        address: the device's.
        label: what messages call it.
        enrolled: its key in ``devices.toml``.
        options: how connections are made.

    Raises:
        DeviceUnreachable: there is no ``ssh``.
        SshConfigError: its configuration is wrong.
    """

    def __init__(self, address: Ssh, label: str, enrolled: Enrolled | None, options: Options) -> None:
        self._address = address
        self._label = label
        self._enrolled = enrolled
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="lading-ssh-")
        try:
            self._program = self._find()
            self.settings = self._ask()
            self.timeout_s = options.connect_timeout_s or float(self.settings.get("connecttimeout", "0")) or CONNECT_S
            self._write_revoked()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Take its files away."""
        self._folder.cleanup()

    @property
    def seen_file(self) -> Path:
        """Where the keys are noted that the host showed."""
        return Path(self._folder.name) / "seen"

    def seen(self) -> str:
        """The key that the host showed last, as ``type SHA256:…``; empty when none was seen."""
        try:
            lines = self.seen_file.read_text("utf-8", "replace").splitlines()
        except OSError:
            return ""
        shown = [line.split(" ", 1)[1] for line in lines if line.startswith("HOSTNAME ")]
        return shown[-1] if shown else ""

    def words(self, command: str, *, family: tuple[str, ...] | None = None) -> list[str]:
        """The command line that runs ``command`` on the device.

        Args:
            command: for the device's login shell.
            family: the only types of host keys that it may show.
        """
        settings: dict[str, object] = {
            "BatchMode": "no" if on_terminal() else "yes",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": max(1, round(self.timeout_s)),
            "ControlMaster": "no",
            "ControlPath": "none",
            "LogLevel": "VERBOSE",
            "PermitLocalCommand": "no",
            "RemoteCommand": "none",
            "RequestTTY": "no",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
        }
        if self.settings.get("serveraliveinterval", "0") == "0":
            settings |= {"ServerAliveInterval": ALIVE_S, "ServerAliveCountMax": ALIVE_COUNT}
        if self._enrolled is not None:
            settings["UserKnownHostsFile"] = Path(self._folder.name) / "revoked"
            settings["GlobalKnownHostsFile"] = "/dev/null"
        if self._enrolled is not None or not self.settings.get("knownhostscommand"):
            vouched = self._enrolled.fingerprint if self._enrolled is not None else "-"
            settings["KnownHostsCommand"] = (
                f"/bin/sh -c '{_SPY}' {shlex.quote(str(self.seen_file))} %I %t %f {vouched} %H %K"
            )
        ciphers = aes.reordered(self.settings.get("ciphers")) if aes.known(self._address) and aes.here() else None
        if ciphers is not None:
            settings["Ciphers"] = ciphers
        if family is not None:
            settings["HostKeyAlgorithms"] = ",".join(family)
        elif self._enrolled is not None and self._enrolled.kind is not None:
            kind = self._enrolled.kind
            settings["HostKeyAlgorithms"] = "^" + ",".join(FAMILIES[2] if kind == "ssh-rsa" else (kind,))
        given = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return [*self._start(), "-T", "-e", "none", *given, *self._where(), command]

    def _find(self) -> str:
        program = shutil.which("ssh")
        if program is None:
            raise DeviceUnreachable(
                f"{self._label}: there is no ssh on this computer",
                remedy="install the OpenSSH client, or use ssh:// in place of ssh+openssh://",
            )
        return program

    def _start(self) -> list[str]:
        config = self._options.places.config
        return [self._program, *(["-F", str(config)] if config is not None else [])]

    def _where(self) -> list[str]:
        user, port = self._address.user, self._address.port
        return [
            *(["-l", user] if user is not None else []),
            *(["-p", str(port)] if port is not None else []),
            "--",
            self._address.host,
        ]

    def _ask(self) -> Settings:
        done = subprocess.run(
            [*self._start(), "-G", *self._where()],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(),
            timeout=CONFIG_S,
            check=False,
        )
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = said[0][:300] if said else f"status {done.returncode}"
            raise SshConfigError(
                f"{self._label}: ssh does not take its configuration: {why}",
                remedy="correct ~/.ssh/config",
            )
        found: dict[str, str] = {}
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            keyword, _, value = line.partition(" ")
            found.setdefault(keyword.lower(), value)
        return Settings(found)

    def files(self) -> list[Path]:
        """The known_hosts files that count for the host."""
        names = f"{self.settings.get('userknownhostsfile')} {self.settings.get('globalknownhostsfile')}".split()
        return [Path(name).expanduser() for name in names]

    def _known_as(self) -> str:
        alias = self.settings.get("hostkeyalias")
        return alias or known_hosts.host_name(self.settings.get("hostname"), int(self.settings.get("port", "22")))

    def lines(self) -> list[known_hosts.KnownHost]:
        """What the ``known_hosts`` files say of the host."""
        return [known for known in known_hosts.read(self.files()) if known.fits(self._known_as())]

    def _write_revoked(self) -> None:
        """The user's ``known_hosts`` does not count beside an enrolled key; what it revokes stays revoked."""
        revoked = [known for known in self.lines() if known.marker == REVOKED]
        text = "".join(f"{REVOKED} * {known.key.kind} {known.key.base64}\n" for known in revoked)
        (Path(self._folder.name) / "revoked").write_text(text)
