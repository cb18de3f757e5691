"""An SSH server of paramiko's, in this process, for what a real one cannot be made to do without touching the system.

It takes passwords, asks questions, wants several steps, or starts no commands. Its commands only end, with status 0.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko
from paramiko.server import InteractiveQuery

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


@dataclass
class Manner:
    """How the server is."""

    password: str | None = None
    questions: Sequence[tuple[str, bool]] = ()
    """What it asks, and whether the answer may be seen. Each answer that may not be seen is the password."""
    key_first: paramiko.PKey | None = None
    """A key that it wants before anything else."""
    commands: bool = True
    asked: list[str] = field(default_factory=list)
    """Which methods were tried."""


class _Server(paramiko.ServerInterface):
    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._key_shown = manner.key_first is None

    def get_allowed_auths(self, username: str) -> str:
        if not self._key_shown:
            return "publickey"
        return "keyboard-interactive" if self._manner.questions else "password"

    def check_auth_none(self, username: str) -> int:
        self._manner.asked.append("none")
        free = self._manner.password is None and self._key_shown and not self._manner.questions
        return paramiko.common.AUTH_SUCCESSFUL if free else paramiko.common.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._manner.asked.append("publickey")
        if self._manner.key_first is None or key.asbytes() != self._manner.key_first.asbytes():
            return paramiko.common.AUTH_FAILED
        self._key_shown = True
        return paramiko.common.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        self._manner.asked.append("password")
        good = self._key_shown and not self._manner.questions and password == self._manner.password
        return paramiko.common.AUTH_SUCCESSFUL if good else paramiko.common.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> int | InteractiveQuery:
        self._manner.asked.append("keyboard-interactive")
        if not self._manner.questions or not self._key_shown:
            return paramiko.common.AUTH_FAILED
        return InteractiveQuery("Hello", "", *self._manner.questions)

    def check_auth_interactive_response(self, responses: list[str]) -> int:
        hidden = [r for r, (_, echo) in zip(responses, self._manner.questions, strict=True) if not echo]
        good = all(answer == self._manner.password for answer in hidden)
        return paramiko.common.AUTH_SUCCESSFUL if good else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self._manner.commands:
            threading.Thread(target=_end, args=(channel,), daemon=True).start()
        return self._manner.commands


def _end(channel: paramiko.Channel) -> None:
    with contextlib.suppress(OSError, EOFError):
        while channel.recv(4096):  # to the end of its input: by then the client knows that it was started
            pass
        channel.send_exit_status(0)
        channel.close()


@dataclass(frozen=True)
class OddSshd:
    """A server that runs."""

    port: int
    key: paramiko.PKey

    @property
    def address(self) -> str:
        """The device's address."""
        return f"ssh://me@127.0.0.1:{self.port}"

    @property
    def fingerprint(self) -> str:
        """Its host key, as OpenSSH shows it."""
        return str(self.key.fingerprint)

    @property
    def known_hosts_line(self) -> str:
        """The line of ``known_hosts`` for it."""
        return f"[127.0.0.1]:{self.port} {self.key.get_name()} {self.key.get_base64()}\n"


@contextlib.contextmanager
def odd_sshd(host_key: Path, manner: Manner) -> Iterator[OddSshd]:
    """A server with the key of a file, that behaves like ``manner``, while the context lasts."""
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    key = paramiko.PKey.from_path(str(host_key))
    transports: list[paramiko.Transport] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                transport = paramiko.Transport(connection)
                transports.append(transport)
                transport.add_server_key(key)
                with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                    transport.start_server(server=_Server(manner))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield OddSshd(listener.getsockname()[1], key)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for transport in transports:
                transport.close()
    thread.join(5.0)
