"""A host over SSH, spoken by paramiko: one connection, one channel for each command."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from lading.errors import LinkLost, NoCommands
from lading.links import aes
from lading.links.finish import SLOWEST, finish

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from paramiko import Channel

    from lading.devices.address import Ssh
    from lading.links.host import Finished
    from lading.links.ssh_line import SshLine

COMPLAINT_KEPT: Final = 8192
ERRORS_KEPT: Final = 65536
END_PATIENCE_S: Final = 40.0
"""How long an agent may take to end when its input ended: it stops what is under way first."""
START_S: Final = 60.0
ALIVE_S: Final = 15.0
ALIVE_COUNT: Final = 3


class ParamikoLink:
    """A command on the device as a link."""

    def __init__(self, host: ParamikoHost, channel: Channel) -> None:
        self._host = host
        self._channel = channel
        self._errors = bytearray()
        self._closed = False
        self._piece = max(1024, min(channel.out_max_packet_size, 1 << 20) - 64)
        self._listener = threading.Thread(target=self._listen, name="ssh-stderr", daemon=True)
        self._listener.start()

    @property
    def description(self) -> str:
        """Where it leads, for messages."""
        return self._host.description

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream."""
        data = self._channel.recv(limit)
        if not data and not self._closed and self._host.broken:
            raise ConnectionResetError(errno.ECONNRESET, self._host.broken)
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        from paramiko import SSHException

        view = memoryview(data)
        try:
            while view:
                sent = self._channel.send(bytes(view[: self._piece]))
                if not sent:
                    raise BrokenPipeError(errno.EPIPE, self._host.broken or "the command does not read any more")
                self._host.in_flight += sent
                view = view[sent:]
        except (SSHException, EOFError) as error:
            raise BrokenPipeError(errno.EPIPE, self._host.broken or "the connection is gone") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise BrokenPipeError(errno.EPIPE, self._host.broken or "the link is closed") from error

    def end_input(self) -> None:
        """Nothing more is written."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def complaint(self) -> str:
        """The end of the command's standard error."""
        return self.errors()[-COMPLAINT_KEPT:].decode("utf-8", "replace").strip()

    def errors(self) -> bytes:
        """The end of the command's standard error, as bytes."""
        if self._channel.closed or self._channel.exit_status_ready():
            self._listener.join(1.0)
        return bytes(self._errors)

    def exit_status(self, timeout_s: float = 10.0) -> int | None:
        """The command's exit status, waited for; None while it runs, or when it cannot be known any more."""
        self._channel.status_event.wait(timeout_s)
        status = self._channel.exit_status
        return status if status >= 0 else None

    def abandon(self) -> None:
        """Let go of it at once, whatever it does."""
        self._closed = True
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()
        self._listener.join(1.0)

    def close(self) -> None:
        """End the command's input and wait for its end."""
        if self._closed:
            return
        self._closed = True
        self.end_input()
        if not self._host.broken:
            self._channel.status_event.wait(END_PATIENCE_S)
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()
        self._listener.join(1.0)

    def _listen(self) -> None:
        # Not read, a full window of standard error would stop the command.
        with contextlib.suppress(OSError, EOFError):
            while data := self._channel.recv_stderr(65536):
                self._errors += data
                del self._errors[:-ERRORS_KEPT]


class ParamikoHost:
    """A device over SSH.

    Args:
        line: a connection that is let in.
        description: what messages call the device.
        alive_s: after how long it is asked whether it still lives.
        alive_count: how many such times it may be silent.
        address: the device's, to remember what is seen of it.
    """

    def __init__(
        self,
        line: SshLine,
        description: str,
        *,
        alive_s: float | None = None,
        alive_count: int | None = None,
        address: Ssh | None = None,
    ) -> None:
        self._address = address
        self._line = line
        self._transport = line.transport
        self._description = description
        self._alive_s = alive_s or ALIVE_S
        self._alive_count = alive_count or ALIVE_COUNT
        self._over = threading.Event()
        self._lost = ""
        self.in_flight = 0
        """Bytes sent since the device last answered: it answers after it has taken them."""
        self._guard = threading.Thread(target=self._watch, name="ssh-alive", daemon=True)
        self._guard.start()

    @property
    def description(self) -> str:
        """What the user calls the device, for messages."""
        return self._description

    @property
    def host_key(self) -> str:
        """The host key that it showed, as ``type SHA256:…``."""
        return str(self._line.key)

    @property
    def broken(self) -> str:
        """Why the connection is gone; empty while it is there."""
        if self._lost:
            return self._lost
        return "" if self._transport.is_active() else "the connection broke"

    def start(self, command: str) -> ParamikoLink:
        """Start a command and speak with it.

        Raises:
            LinkLost: the connection is gone.
            NoCommands: the device starts no commands.
        """
        from paramiko import ChannelException, SSHException

        self._hurry()
        try:
            channel = self._transport.open_session(timeout=START_S)
        except ChannelException as error:
            raise self._no_commands(error.text) from error
        except (SSHException, EOFError, OSError) as error:
            raise self._gone(error) from error
        try:
            channel.exec_command(command)
        except (SSHException, EOFError, OSError) as error:
            if not self._transport.is_active():
                raise self._gone(error) from error
            channel.close()
            raise self._no_commands("it refuses to start one") from error
        return ParamikoLink(self, channel)

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run a command to its end.

        Args:
            command: one line for the login shell.
            stdin: all of its standard input.
            timeout_s: how long it may take; what ``stdin`` needs on a slow line is added.

        Raises:
            LinkLost: the connection is gone.
            NoCommands: the device starts no commands.
            TimedOut: the time is over.
        """
        return finish(self.start(command), stdin, timeout_s)

    def learn(self, facts: Mapping[str, Any]) -> None:
        """What was seen of the device; ``ssh+openssh://`` uses it."""
        if self._address is not None:
            aes.note(self._address, facts)

    def close(self) -> None:
        """Let go of the device."""
        self._over.set()
        self._line.close()
        self._guard.join(5.0)

    def __enter__(self) -> ParamikoHost:
        """Close at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def _hurry(self) -> None:
        """Have the host's next words acknowledged at once: until a command runs, OpenSSH waits for that between two."""
        quick, sock = getattr(socket, "TCP_QUICKACK", None), self._transport.sock
        if quick is not None and isinstance(sock, socket.socket):
            with contextlib.suppress(OSError):  # a proxy's socket
                sock.setsockopt(socket.IPPROTO_TCP, quick, 1)

    def _gone(self, error: Exception) -> LinkLost:
        return LinkLost(
            f"{self._description}: the connection is gone: {self._lost or str(error) or type(error).__name__}",
            remedy="try again",
        )

    def _no_commands(self, why: str) -> NoCommands:
        return NoCommands(
            f"{self._description}: the device lets '{self._transport.get_username()}' in but starts no commands: {why}",
            remedy="use an account whose shell may run commands (no ForceCommand for files only, no nologin)",
        )

    def _watch(self) -> None:
        """Ask now and then whether the device is there. An answer comes after what was sent before the question."""
        while not self._over.wait(self._alive_s):
            sent = self.in_flight
            patience = self._alive_s * self._alive_count + sent / SLOWEST
            asked = threading.Thread(target=self._ask, name="ssh-ask", daemon=True)
            asked.start()
            deadline = time.monotonic() + patience
            while asked.is_alive() and not self._over.is_set() and time.monotonic() < deadline:
                asked.join(min(1.0, max(0.01, deadline - time.monotonic())))
            if self._over.is_set() or not self._transport.is_active():
                return
            if asked.is_alive():
                self._lost = f"the device said nothing for {patience:.0f} s"
                self._transport.close()
                return
            self.in_flight -= sent

    def _ask(self) -> None:
        from paramiko import SSHException

        with contextlib.suppress(SSHException, EOFError, OSError):
            self._transport.global_request("keepalive@openssh.com", wait=True)
