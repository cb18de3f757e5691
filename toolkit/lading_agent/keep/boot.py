"""Being started with the device, without root: a systemd user unit, or a crontab line where there is no systemd."""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Protocol, Sequence, Tuple

from lading_agent.errors import AgentError
from lading_agent.keep import boot_files

PATIENCE_S = 30.0


class Boot(Protocol):
    """A way to be started when the device starts."""

    how: str
    """``systemd`` or ``cron``."""

    def install(self, name: str, description: str, command: Sequence[str], *, start: bool) -> None:
        """Have a command started with the device, and (``start``) now. Raises ``AgentError``."""

    def remove(self, name: str) -> None:
        """Take it away again; what runs goes on. Raises ``AgentError``."""

    def installed(self, name: str) -> bool:
        """Whether it is there."""

    def where(self, name: str) -> str:
        """What a person would look for."""


def find(environment: Mapping[str, str], home: Path) -> Tuple[Optional[Boot], str]:
    """The way that this device has; else None, and why.

    Args:
        environment: where programs are looked for and what they are given.
        home: the agent's folder, which what is installed belongs to.
    """
    given = _with_runtime_dir(environment)
    reasons: List[str] = []
    if shutil.which("systemctl", path=given.get("PATH")) is None:
        reasons.append("no systemctl")
    else:
        asked = _call(given, "systemctl", "--user", "show", "--property=Version")
        if asked.status == 0 and asked.stdout.strip():
            return Systemd(given, home), ""
        reasons.append(f"systemd has no manager for this user ({asked.complaint})")
    if shutil.which("crontab", path=given.get("PATH")) is None:
        reasons.append("no crontab")
    else:
        cron = Cron(given, home)
        try:
            cron.read()
        except AgentError as error:
            reasons.append(error.message)
        else:
            return cron, ""
    return None, "; ".join(reasons)


@dataclass(frozen=True)
class _Finished:
    status: int
    stdout: str
    complaint: str


def _call(environment: Mapping[str, str], program: str, *words: str, stdin: str = "") -> _Finished:
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        return _Finished(127, "", f"there is no {program}")
    try:
        ran = subprocess.run(
            [found, *words],
            input=stdin.encode("utf-8", "surrogateescape"),
            capture_output=True,
            env=dict(environment),
            cwd="/",
            timeout=PATIENCE_S,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return _Finished(124, "", f"{program} does not answer")
    except OSError as error:
        return _Finished(126, "", f"{program}: {error.strerror}")
    said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
    complaint = said[-1][:300] if said else f"{program} ended with status {ran.returncode}"
    return _Finished(ran.returncode, ran.stdout.decode("utf-8", "surrogateescape"), complaint)


def _with_runtime_dir(environment: Mapping[str, str]) -> Dict[str, str]:
    """A remote shell may come without the variable that leads to the user's systemd."""
    given = dict(environment)
    usual = f"/run/user/{os.getuid()}"
    if "XDG_RUNTIME_DIR" not in given and Path(usual).is_dir():
        given["XDG_RUNTIME_DIR"] = usual
    return given


class Systemd:
    """The user's own systemd."""

    how = "systemd"

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self._environment = environment
        self._home = home

    def install(self, name: str, description: str, command: Sequence[str], *, start: bool) -> None:
        """Write the unit and enable it."""
        path = self._path(name)
        text = boot_files.unit(description, command, str(self._home))
        try:
            other = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            other = ""
        except OSError as error:
            raise AgentError("device", f"{path} cannot be read: {error.strerror}", "see what is there") from error
        if other and other.splitlines()[0] != text.splitlines()[0]:
            raise AgentError(
                "device",
                f"{path} is there already and is not of this folder",
                "disable the service of that folder first, or take the file away",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if other != text:
                scratch = path.with_name(f".{path.name}.{os.getpid()}")
                with scratch.open("w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                scratch.replace(path)
        except OSError as error:
            raise AgentError(
                "device", f"{path} cannot be written: {error.strerror}", "give the user the rights to that folder"
            ) from error
        try:
            self._must("daemon-reload")
            self._must("enable", *(["--now"] if start else []), path.name)
        except AgentError:
            if not other:
                path.unlink()
                _call(self._environment, "systemctl", "--user", "daemon-reload")
            raise

    def remove(self, name: str) -> None:
        """Disable the unit and take its file away. It is not ended: a watcher takes its own unit away."""
        path = self._path(name)
        if not path.exists():
            return
        self._must("disable", path.name)
        path.unlink()
        self._must("daemon-reload")

    def installed(self, name: str) -> bool:
        """Whether the unit is there, and of this folder."""
        try:
            there = self._path(name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return False
        return there[:1] == boot_files.unit("", [], str(self._home)).splitlines()[:1]

    def where(self, name: str) -> str:
        """The unit's file."""
        return str(self._path(name))

    # -- starting without a login -------------------------------------------------------------------------------------

    def lingers(self) -> bool:
        """Whether the user's services start with the device, and not with a login."""
        asked = _call(self._environment, "loginctl", "show-user", self._user(), "--property=Linger", "--value")
        return asked.status == 0 and asked.stdout.strip().rpartition("=")[2] == "yes"

    def linger(self, wanted: bool) -> bool:
        """Have it so, or not; False where only root may."""
        verb = "enable-linger" if wanted else "disable-linger"
        _call(self._environment, "loginctl", "--no-ask-password", verb, self._user())
        return self.lingers() == wanted

    def linger_remedy(self) -> str:
        """What root would do."""
        return f"sudo loginctl enable-linger {self._user()}"

    def _user(self) -> str:
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            return str(os.getuid())

    def _path(self, name: str) -> Path:
        config = self._environment.get("XDG_CONFIG_HOME") or str(
            Path(self._environment.get("HOME") or Path.home()) / ".config"
        )
        return Path(config) / "systemd" / "user" / f"{name}.service"

    def _must(self, *words: str) -> None:
        done = _call(self._environment, "systemctl", "--user", *words)
        if done.status:
            raise AgentError(
                "device",
                f"systemctl --user {' '.join(words)} failed: {done.complaint}",
                "see `systemctl --user status` on the device",
            )


class Cron:
    """The user's crontab."""

    how = "cron"

    def __init__(self, environment: Mapping[str, str], home: Path) -> None:
        self._environment = environment
        self._home = home

    def read(self) -> str:
        """The crontab as it stands.

        Raises:
            AgentError: it cannot be read; nothing of it may be replaced then.
        """
        done = _call(self._environment, "crontab", "-l")
        if done.status == 0:
            return done.stdout
        if "no crontab" in done.complaint or "can't open" in done.complaint:  # Debian's and BusyBox's way to say empty
            return ""
        raise AgentError("device", f"the crontab cannot be read: {done.complaint}", "see `crontab -l` on the device")

    def install(self, name: str, description: str, command: Sequence[str], *, start: bool) -> None:  # noqa: ARG002
        """Put our line in; nothing is started by it before the device starts again."""
        before = self.read()
        mark = self._mark(name)
        self._write(before, boot_files.with_line(before, mark, boot_files.crontab_line(command, mark)))

    def remove(self, name: str) -> None:
        """Take our line out."""
        before = self.read()
        self._write(before, boot_files.without_line(before, self._mark(name)))

    def installed(self, name: str) -> bool:
        """Whether our line is there."""
        try:
            return boot_files.has_line(self.read(), self._mark(name))
        except AgentError:
            return False

    def where(self, name: str) -> str:
        """The mark in the crontab."""
        return f"crontab: {boot_files.MARK}{self._mark(name)}"

    def _mark(self, name: str) -> str:
        return f"{name}:{home_mark(self._home)}"

    def _write(self, before: str, after: str) -> None:
        if before == after:
            return
        done = _call(self._environment, "crontab", "-", stdin=after)
        if done.status:
            raise AgentError("device", f"the crontab cannot be written: {done.complaint}", "may this user use cron?")


def home_mark(home: Path) -> str:
    """A short name for a home, among several of one user."""
    return hashlib.sha256(os.fsencode(home)).hexdigest()[:8]
