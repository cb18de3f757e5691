"""Letting oneself in: keys of the agent, keys in files, then passwords; and saying plainly what was tried."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from lading.errors import AuthFailed, DeviceUnreachable, LinkLost
from lading.links.secrets import PASSPHRASE, PASSWORD, TRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from paramiko import AgentKey, PKey, Transport

    from lading.links.secrets import Secrets
    from lading.links.ssh_config import Destination

PATIENCE_S: Final = 60.0
TYPING_S: Final = 600.0
MOST_QUESTIONS: Final = 16
HARDWARE: Final = (b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com")


@dataclass
class Login:
    """One attempt to get in.

    Args:
        transport: a connection whose host key was judged already.
        destination: user and keys.
        description: what messages call the host.
        secrets: who knows passwords.
        is_device: false for a host on the way, which never gets the password of the environment.
    """

    transport: Transport
    destination: Destination
    description: str
    secrets: Secrets
    is_device: bool = True
    tried: list[str] = field(default_factory=list)
    """What was offered, for the message."""
    hints: list[str] = field(default_factory=list)
    """Why something was not offered."""

    def run(self) -> None:
        """Get in.

        Raises:
            AuthFailed: no way in; names what was tried and what the host takes.
            LinkLost: the connection broke.
        """
        from paramiko import BadAuthenticationType, SSHException

        self.transport.auth_timeout = PATIENCE_S
        try:
            try:
                allowed: Sequence[str] = self.transport.auth_none(self.destination.user)
            except BadAuthenticationType as error:
                allowed = error.allowed_types
            done: set[str] = set()
            while not self.transport.is_authenticated():
                step = next(
                    (m for m in ("publickey", "keyboard-interactive", "password") if m in allowed and m not in done), ""
                )
                if not step:
                    raise self._refused(allowed)
                done.add(step)
                further = self._one(step)
                if further:
                    allowed = further
                    done -= {"keyboard-interactive", "password"}
        except (SSHException, EOFError, OSError) as error:
            if self.tried:
                raise self._cut_off() from error
            raise LinkLost(
                f"{self.description}: the connection broke before anybody could log in: {_why(error)}",
                remedy="try again; see the SSH server's log on the device",
            ) from error

    def _one(self, step: str) -> Sequence[str]:
        """Try one method; returns what the host wants after it, where that is not all."""
        match step:
            case "publickey":
                return self._keys()
            case "keyboard-interactive":
                return self._interactive()
            case _:
                return self._passwords()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def _keys(self) -> Sequence[str]:
        from paramiko import AuthenticationException, BadAuthenticationType, SSHException

        with contextlib.closing(_Agent(self.destination)) as agent:
            for label, key in self._candidates(agent):
                self.tried.append(label)
                try:
                    return self.transport.auth_publickey(self.destination.user, key)
                except BadAuthenticationType:
                    return ()
                except AuthenticationException:
                    if not self.transport.is_active():
                        raise
                except SSHException as error:
                    if not self.transport.is_active():
                        raise
                    self.hints.append(f"{label} cannot be used: {_why(error)}")
        return ()

    def _candidates(self, agent: _Agent) -> Iterator[tuple[str, PKey]]:
        """Keys in the order in which they are offered; none twice."""
        files = [file for file in self.destination.identity_files if file.is_file() or _public(file) is not None]
        named = {_public(file) for file in files} - {None}
        first = [key for key in agent.keys if key.asbytes() in named]
        rest = [] if self.destination.identities_only else [key for key in agent.keys if key not in first]
        if not self.destination.identities_named:
            first, rest = first + rest, []
        for key in first:
            yield f"{key.get_name()} key of the agent", key
        held = {key.asbytes() for key in agent.keys}
        if agent.complaint:
            self.hints.append(agent.complaint)
        for file in files:
            if _public(file) in held:
                continue
            loaded = self._load(file)
            if loaded is not None:
                yield f"key {file}", loaded
        for key in rest:
            yield f"{key.get_name()} key of the agent", key
        for file in self.destination.identity_files:
            if self.destination.identities_named and not file.is_file() and _public(file) not in held:
                self.hints.append(f"{file} is not there")

    def _load(self, file: Path) -> PKey | None:
        from paramiko import PKey, SSHException
        from paramiko.pkey import UnknownKeyType

        public = _public(file)
        if public is not None and public[4:].startswith(HARDWARE):
            self.hints.append(f"{file} is in a hardware key, which only ssh+openssh:// can use")
            return None
        for phrase in self._phrases(file):
            try:
                return PKey.from_path(str(file), None if phrase is None else phrase.encode())  # type: ignore[arg-type]
            except OSError as error:
                self.hints.append(f"{file} cannot be read: {error.strerror}")
                return None
            except (TypeError, ValueError, SSHException) as error:
                if not _encrypted(file, error):
                    self.hints.append(f"{file} is not a private key that can be read")
                    return None
            except UnknownKeyType:
                self.hints.append(f"{file} is of a kind that only ssh+openssh:// can use")
                return None
        self.hints.append(
            f"{file} is encrypted, and no passphrase opened it (give one on a terminal or in {PASSPHRASE}, "
            "or load the key with ssh-add)"
        )
        return None

    def _phrases(self, file: Path) -> Iterator[str | None]:
        yield None
        stored = self.secrets.stored(PASSPHRASE)
        if stored is not None:
            yield stored
        for _ in range(TRIES):
            typed = self.secrets.ask(f"Passphrase of {file}: ")
            if typed is None:
                return
            yield typed

    # -- passwords ----------------------------------------------------------------------------------------------------

    def _words(self) -> Iterator[str]:
        """Passwords to try."""
        stored = self.secrets.stored(PASSWORD) if self.is_device else None
        if stored is not None:
            yield stored
            return
        for _ in range(TRIES):
            typed = self.secrets.ask(f"Password of {self.destination.user}@{self.destination.hostname}: ")
            if typed is None:
                self.hints.append(f"a password is asked for only on a terminal; {PASSWORD} holds one otherwise")
                return
            yield typed

    def _passwords(self) -> Sequence[str]:
        from paramiko import AuthenticationException, BadAuthenticationType

        for word in self._words():
            self.tried.append("password")
            try:
                return self.transport.auth_password(self.destination.user, word, fallback=False)
            except BadAuthenticationType:
                return ()
            except AuthenticationException:
                if not self.transport.is_active():
                    raise
        return ()

    def _interactive(self) -> Sequence[str]:
        from paramiko import AuthenticationException, BadAuthenticationType

        words = self._words()
        for _ in range(TRIES):
            answers = _Answers(self, words)
            self.transport.auth_timeout = TYPING_S
            try:
                return self.transport.auth_interactive(self.destination.user, answers)
            except BadAuthenticationType:
                return ()
            except AuthenticationException:
                if not self.transport.is_active():
                    raise
                if answers.silent:
                    return ()
            finally:
                self.transport.auth_timeout = PATIENCE_S
        return ()

    # -- failure ------------------------------------------------------------------------------------------------------

    def _refused(self, allowed: Sequence[str]) -> AuthFailed:
        user = self.destination.user
        tried = ", ".join(dict.fromkeys(self.tried)) or "nothing"
        hints = "; ".join(dict.fromkeys(self.hints))
        return AuthFailed(
            f"{self.description}: '{user}' is not let in: tried {tried}; the host takes "
            f"{', '.join(allowed) or 'nothing'}" + (f" ({hints})" if hints else ""),
            remedy=f"check the user's name, and that your public key is in the authorized_keys of '{user}' there",
            details={"user": user, "tried": list(self.tried), "allowed": list(allowed)},
        )

    def _cut_off(self) -> DeviceUnreachable:
        user = self.destination.user
        return AuthFailed(
            f"{self.description}: the host hung up on '{user}' after {', '.join(dict.fromkeys(self.tried))}",
            remedy="if it was offered too many keys, name the right one: IdentityFile and IdentitiesOnly yes in "
            "~/.ssh/config",
            details={"user": user, "tried": list(self.tried), "allowed": []},
        )


class _Answers:
    """Answers the questions of a host: what is hidden while it is typed is a password."""

    def __init__(self, login: Login, words: Iterator[str]) -> None:
        self._login = login
        self._words = words
        self.silent = False
        """Whether a question had no answer."""

    def __call__(self, _title: str, _instructions: str, fields: list[tuple[str, bool]]) -> list[str]:
        answers = []
        for prompt, echo in fields[:MOST_QUESTIONS]:
            answer = self._login.secrets.ask(_printable(prompt), echo=True) if echo else next(self._words, None)
            if answer is None:
                self.silent = True
            else:
                self._login.tried.append("keyboard-interactive")
            answers.append(answer or "")
        return answers


class _Agent:
    """The user's SSH agent, if there is one that answers."""

    def __init__(self, destination: Destination) -> None:
        self.keys: list[AgentKey] = []
        self.complaint = ""
        self._agent: Any = None
        if destination.identity_agent == "none":
            return
        from paramiko import Agent, SSHException

        try:
            with _socket_named(destination.identity_agent):
                self._agent = Agent()
            # Certificates and hardware keys are for OpenSSH: their names have an '@'.
            self.keys = [key for key in self._agent.get_keys() if "@" not in key.get_name()]
        except (SSHException, OSError, ValueError) as error:
            self.complaint = f"the SSH agent does not answer: {_why(error)}"

    def close(self) -> None:
        """Let go of the agent."""
        if self._agent is not None:
            self._agent.close()


@contextlib.contextmanager
def _socket_named(path: str | None) -> Iterator[None]:
    """``IdentityAgent``: paramiko knows the agent's socket from the environment only."""
    if path is None:
        yield
        return
    before = os.environ.get("SSH_AUTH_SOCK")
    os.environ["SSH_AUTH_SOCK"] = path
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSH_AUTH_SOCK"]
        else:
            os.environ["SSH_AUTH_SOCK"] = before


def _public(file: Path) -> bytes | None:
    """The public half beside a private key."""
    import base64

    for candidate in (file.with_name(file.name + ".pub"), file):
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = candidate.read_bytes()[:65536].split()
            if words[0].startswith((b"ssh-", b"ecdsa-", b"sk-")):
                return base64.b64decode(words[1], validate=True)
    return None


def _encrypted(file: Path, error: Exception) -> bool:
    """Whether a key file did not open because it is encrypted."""
    import base64

    said = str(error).lower()
    if "encrypted" in said or "password" in said or "decrypt" in said:
        return True
    with contextlib.suppress(OSError, ValueError):
        data = file.read_bytes()[: 1 << 20]
        if b"ENCRYPTED" in data:
            return True
        body = b"".join(line for line in data.splitlines() if line and not line.startswith(b"-----"))
        raw = base64.b64decode(body)
        if raw.startswith(b"openssh-key-v1\0"):
            size = int.from_bytes(raw[15:19], "big")
            return raw[19 : 19 + size] != b"none"
    return False


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:200])


def _why(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _printable(str(text))
