"""A host over SSH, spoken by the system's own ``ssh``: hardware keys, certificates and ``Match`` are its business.

Each command is one ``ssh`` process. It shares no connection with others, and asks for nothing without a terminal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

from lading.errors import DeviceUnreachable, HostKeyChanged, LadingError, NoCommands, TimedOut
from lading.links import aes
from lading.links.finish import finish
from lading.links.host_keys import OWN_FILE, Enrolled, changed, refuse_revoked
from lading.links.openssh_command import SshCommand
from lading.links.openssh_failures import NOISE, failure
from lading.links.process import pour, widen
from lading.links.secrets import clean_environment, on_terminal
from lading.links.ssh_line import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from lading.devices.address import Ssh
    from lading.links.host import Finished
    from lading.links.ssh_line import Options

COMPLAINT_KEPT: Final = 8192
ERRORS_KEPT: Final = 65536
END_PATIENCE_S: Final = 40.0
"""How long an agent may take to end when its input ended: it stops what is under way first."""
LOST_STATUS: Final = 255
"""What ``ssh`` ends with when it failed itself."""

_IN: Final = re.compile(rb"^Authenticated to [^\n]*\n", re.MULTILINE)
_LOST: Final = re.compile(
    r"Connection to .* closed by remote host|Connection closed by|Connection reset by|client_loop: send disconnect|"
    r"Timeout, server .* not responding|Broken pipe|Read from remote host .*:"
)
_NO_EXEC: Final = re.compile(r"exec request failed on channel|open failed: administratively prohibited")


class OpenSshLink:
    """A command on the device as a link: an ``ssh`` process.

    Args:
        words: the command line.
        description: what messages call the device.
        interactive: whether ``ssh`` may ask on the terminal.

    Raises:
        DeviceUnreachable: it cannot be started.
    """

    def __init__(self, words: list[str], description: str, *, interactive: bool) -> None:
        self._description = description
        self._errors = bytearray()
        self._inside = threading.Event()
        self._settled = threading.Event()
        self._closed = False
        if interactive:
            # It has to stay where the terminal is to ask there; Ctrl-C is for us, and we tell the agent.
            words = ["/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh", *words]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=not interactive,
                env=clean_environment(),
            )
        except OSError as error:
            raise DeviceUnreachable(
                f"{description}: {words[0]} cannot be started: {error.strerror}",
                remedy="install the OpenSSH client, or use ssh:// in place of ssh+openssh://",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        self._err = self._process.stderr.fileno()
        for fd in (self._in, self._out):
            widen(fd)
        self._writing = threading.Lock()
        self._listener = threading.Thread(target=self._listen, name="ssh-stderr", daemon=True)
        self._listener.start()

    @property
    def description(self) -> str:
        """Where it leads, for messages."""
        return self._description

    def wait_inside(self, timeout_s: float | None) -> bool | None:
        """Wait until the user is let in: True; False when ``ssh`` ended before; None when the time is over."""
        if not self._settled.wait(timeout_s):
            return None
        return self._inside.is_set()

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream."""
        data = os.read(self._out, limit)
        if not data and not self._closed and self.exit_status() == LOST_STATUS:
            last = self.complaint().splitlines()[-1:]
            if last and _LOST.match(last[0]):
                raise ConnectionResetError(errno.ECONNRESET, f"the connection broke: {last[0][:300]}")
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        view = memoryview(data)
        with self._writing:
            while view:
                if self._closed:
                    raise BrokenPipeError(errno.EPIPE, "the link is closed")
                view = view[os.write(self._in, view) :]

    def pour(self, fd: int, offset: int, count: int) -> None:
        """Send a part of a file; see :class:`lading.links.base.Pouring`."""
        with self._writing:
            if self._closed:
                raise BrokenPipeError(errno.EPIPE, "the link is closed")
            pour(self._in, fd, offset, count)

    def end_input(self) -> None:
        """Nothing more is written; what it says can still be read."""
        assert self._process.stdin is not None
        with self._writing, contextlib.suppress(OSError):
            self._process.stdin.close()

    def complaint(self) -> str:
        """The end of the command's standard error, without what ``ssh`` says in good times."""
        return self.errors()[-COMPLAINT_KEPT:].decode("utf-8", "replace").strip()

    def errors(self) -> bytes:
        """The end of the command's standard error, as bytes."""
        if self._process.poll() is not None:
            self._listener.join(1.0)
        return b"".join(line for line in bytes(self._errors).splitlines(keepends=True) if not NOISE.match(line))

    def exit_status(self, timeout_s: float = 10.0) -> int | None:
        """The command's exit status, waited for; None while it runs, or when it cannot be known any more."""
        try:
            status = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return status if status >= 0 else None

    def abandon(self) -> None:
        """Let go of it at once, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._end()

    def close(self) -> None:
        """End the command's input and wait for its end."""
        if self._closed:
            return
        self.end_input()
        try:
            self._process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._end()

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._process.wait()
        self._listener.join(1.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._err, 65536):
                self._errors += data
                if not self._inside.is_set() and (found := _IN.search(self._errors)):
                    del self._errors[: found.end()]
                    self._inside.set()
                    self._settled.set()
                del self._errors[:-ERRORS_KEPT]
        self._settled.set()


class OpenSshHost:
    """A device through the system's ``ssh``.

    Args:
        address: the device's.
        label: what messages call it.
        name: its name in ``devices.toml``.
        enrolled: the key that it has there.
        options: how connections are made; its secrets are not used.

    Raises:
        DeviceUnreachable: there is no ``ssh``.
        SshConfigError: its configuration is wrong.
    """

    def __init__(
        self, address: Ssh, label: str, *, name: str | None, enrolled: Enrolled | None, options: Options
    ) -> None:
        self._address = address
        self._label = label
        self._name = name
        self._enrolled = enrolled
        self._options = options
        self._command = SshCommand(address, label, enrolled, options)

    @property
    def description(self) -> str:
        """What the user calls the device, for messages."""
        return self._label

    @property
    def host_key(self) -> str:
        """The host key that it showed last, as ``type SHA256:…``; empty before the first command."""
        return self._command.seen()

    def start(self, command: str) -> OpenSshLink:
        """Start a command and speak with it.

        Raises:
            DeviceUnreachable: one of its kinds says why not.
        """
        if self._enrolled is None or self._enrolled.kind is not None:
            return self._start(command, None)
        # A fingerprint alone does not say of which type its key is: a host shows one key at a time.
        first: HostKeyChanged | None = None
        for family in FAMILIES:
            try:
                link = self._start(command, family)
            except HostKeyChanged as error:
                first = first or error
            except _NoSuchKey:
                continue
            else:
                self._settle(Enrolled(self._enrolled.fingerprint, self._command.seen().partition(" ")[0] or None))
                return link
        if first is None:
            first = changed(self._label, self._name, "no key that lading can read", str(self._enrolled), OWN_FILE)
        raise first

    def _settle(self, enrolled: Enrolled) -> None:
        before, self._command = self._command, SshCommand(self._address, self._label, enrolled, self._options)
        self._enrolled = enrolled
        before.close()

    def _start(self, command: str, family: tuple[str, ...] | None) -> OpenSshLink:
        interactive = on_terminal()
        link = OpenSshLink(self._command.words(command, family=family), self._label, interactive=interactive)
        inside = link.wait_inside(None if interactive else 4 * self._command.timeout_s + 60)
        if inside:
            return link
        link.abandon()
        if inside is None:
            raise TimedOut(
                f"{self._label}: {self._command.settings.place} does not let anybody in, nor refuse it",
                remedy="see the SSH server's log on the device",
            )
        said = link.complaint().splitlines()
        if family is not None and any("no matching host key type" in line for line in said):
            raise _NoSuchKey(self._label)
        raise failure(
            said,
            link.exit_status(),
            self._command,
            label=self._label,
            address=str(self._address),
            name=self._name,
            enrolled=self._enrolled,
        )

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run a command to its end.

        Args:
            command: one line for the login shell.
            stdin: all of its standard input.
            timeout_s: how long it may take; what ``stdin`` needs on a slow line is added.

        Raises:
            DeviceUnreachable: one of its kinds says why not.
        """
        done = finish(self.start(command), stdin, timeout_s)
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        if done.status == LOST_STATUS and last and _NO_EXEC.search(last[0]):
            raise NoCommands(
                f"{self._label}: the device lets the user in but starts no commands: {last[0][:300]}",
                remedy="use an account whose shell may run commands (no ForceCommand for files only, no nologin)",
            )
        return done

    def learn(self, facts: Mapping[str, Any]) -> None:
        """What was seen of the device; the next connection uses it."""
        aes.note(self._address, facts)

    def close(self) -> None:
        """Let go of the device."""
        self._command.close()

    def __enter__(self) -> OpenSshHost:
        """Close at the end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()


class _NoSuchKey(LadingError):
    """The host has no key of the types that it was asked for."""


def look_at_key(address: Ssh, label: str, options: Options, expected: Enrolled | None = None) -> str:
    """The host key that a device shows, as ``type SHA256:…``, without logging in.

    Args:
        address: the device's.
        label: what messages call it.
        options: how connections are made.
        expected: the key that it should show; of its keys, this one is looked for.

    Raises:
        HostKeyChanged: it does not show the expected one.
        HostKeyRevoked: it shows one that is revoked.
        DeviceUnreachable: one of its kinds says why not.
    """
    shown: list[str] = []
    for family in FAMILIES if expected is not None and expected.kind is None else (None,):
        # A fingerprint that no key has: ssh notes what it sees, and goes no further.
        nobody = Enrolled("SHA256:" + "A" * 43, expected.kind if expected is not None else None)
        command = SshCommand(address, label, nobody, options)
        try:
            link = OpenSshLink(command.words("exit", family=family), label, interactive=on_terminal())
            link.wait_inside(4 * command.timeout_s + 60)
            link.abandon()
            seen = command.seen()
            if seen:
                refuse_revoked(label, seen, command.lines())
                if expected is None or seen in {str(expected), f"{seen.partition(' ')[0]} {expected.fingerprint}"}:
                    return seen
                shown.append(seen)
            elif family is None or not any("no matching host key type" in s for s in link.complaint().splitlines()):
                raise failure(
                    link.complaint().splitlines(),
                    link.exit_status(),
                    command,
                    label=label,
                    address=str(address),
                    name=None,
                    enrolled=None,
                )
        finally:
            command.close()
    raise changed(label, None, shown[0] if shown else "no key that ssh can read", str(expected), _where(expected))


def _where(expected: Enrolled | None) -> str:
    return expected.where if expected is not None else OWN_FILE
