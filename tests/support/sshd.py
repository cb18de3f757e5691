"""A real OpenSSH server on 127.0.0.1 that stands for a board: own host keys, own port, own home folder.

Whoever logs in becomes the user who runs the tests, in the folder ``home`` and with ``HOME`` set to it: nothing lands
in the real home. ``client`` is a home folder for the other end, with a key that the server takes and a ``known_hosts``
that knows the server; tests point ``HOME`` at it.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shlex
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SFTP_SERVER = "/usr/lib/openssh/sftp-server"
PATIENCE_S = 60.0


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "", comment: str = "test") -> Path:
    """Make an SSH key pair; ``path`` holds the private half, ``path.pub`` the public one."""
    size = ["-b", "2048"] if kind == "rsa" else []
    words = [need("ssh-keygen"), "-q", "-t", kind, *size, "-N", passphrase, "-C", comment, "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    return path


def fingerprint(public: Path) -> str:
    """``SHA256:…`` of a public key file, as OpenSSH says it."""
    words = [need("ssh-keygen"), "-l", "-E", "sha256", "-f", str(public)]
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout.split()[1]


def free_port(family: int = socket.AF_INET) -> int:
    """A port that nobody listens on."""
    with socket.socket(family) as probe:
        probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Sshd:
    """A server that runs, or did."""

    folder: Path
    port: int
    host: str = "127.0.0.1"
    user: str = field(default_factory=getpass.getuser)
    process: subprocess.Popen[bytes] | None = None
    _ready: threading.Event = field(default_factory=threading.Event)
    _listener: threading.Thread | None = None

    @property
    def home(self) -> Path:
        """``HOME`` of whoever logs in: the board's side."""
        return self.folder / "board"

    @property
    def client(self) -> Path:
        """``HOME`` for the client's side, with ``.ssh/config``, ``.ssh/known_hosts`` and ``.ssh/id_ed25519``."""
        return self.folder / "client"

    @property
    def key(self) -> Path:
        """A private key that the server takes."""
        return self.client / ".ssh" / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The client's known hosts: they hold the server's keys."""
        return self.client / ".ssh" / "known_hosts"

    @property
    def config(self) -> Path:
        """The client's configuration; names the key and the known hosts."""
        return self.client / ".ssh" / "config"

    @property
    def authorized_keys(self) -> Path:
        """The public keys that the server takes."""
        return self.folder / "authorized_keys"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.folder / "sshd.log"

    @property
    def place(self) -> str:
        """``user@host:port``, as it stands in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"

    @property
    def address(self) -> str:
        """The device's address."""
        return f"ssh://{self.place}"

    @property
    def openssh_address(self) -> str:
        """The same through the system's ``ssh``, which has to be given ``-F`` of :attr:`config`."""
        return f"ssh+openssh://{self.place}"

    def host_key(self, kind: str = "ed25519") -> Path:
        """A private key of the server."""
        return self.folder / f"host_{kind}"

    def fingerprint(self, kind: str = "ed25519") -> str:
        """The fingerprint of a key of the server."""
        return fingerprint(self.host_key(kind).with_suffix(".pub"))

    def known_hosts_line(self, kind: str = "ed25519", marker: str = "") -> str:
        """The line of ``known_hosts`` for a key of the server."""
        name = f"[{self.host}]:{self.port}"
        words = self.host_key(kind).with_suffix(".pub").read_text().split()[:2]
        return " ".join([*([marker] if marker else []), name, *words]) + "\n"

    def ssh_options(self) -> list[str]:
        """Options that make the system's ``ssh`` and ``scp`` use the client's folder only."""
        return ["-F", str(self.config), "-o", "BatchMode=yes"]

    def start(self) -> None:
        """Start the server and wait until it listens."""
        self._ready.clear()
        self.process = subprocess.Popen(
            [need("sshd"), "-D", "-e", "-f", str(self.folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=self.folder,
        )
        self._listener = threading.Thread(target=self._listen, args=(self.process,), daemon=True)
        self._listener.start()
        assert self._ready.wait(PATIENCE_S), self.log.read_text()
        assert self.process.poll() is None, self.log.read_text()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with self.log.open("ab", buffering=0) as log, process.stderr:
            for line in process.stderr:
                log.write(line)
                if b"Server listening on" in line:
                    self._ready.set()
        self._ready.set()

    def sessions(self) -> list[int]:
        """The process ids of the server's children: one a connection."""
        assert self.process is not None
        return children(self.process.pid)

    def stop(self) -> None:
        """End the server, its connections, and what they run."""
        if self.process is None:
            return
        everybody = descendants(self.process.pid)
        for pid in (self.process.pid, *everybody):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)
        assert self._listener is not None
        self._listener.join(PATIENCE_S)
        self.process = None


def children(pid: int) -> list[int]:
    """The process ids of a process's children."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid: int) -> list[int]:
    """The process ids of all that a process started, as far as they still belong to it."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def make_sshd(
    folder: Path,
    *,
    kinds: Sequence[str] = ("ed25519",),
    shell: Sequence[str] = ("/bin/sh",),
    banner: str = "",
    path: str | None = None,
    force: str | None = None,
    settings: Sequence[str] = (),
    host: str = "127.0.0.1",
) -> Sshd:
    """Prepare a server in ``folder`` without starting it.

    Args:
        folder: an empty folder of the test.
        kinds: which kinds of host keys it has; ``known_hosts`` knows the first.
        shell: what plays the login shell; ``-c COMMAND`` is added.
        banner: what the login shell prints before each command.
        path: ``PATH`` on the board; None is the server's own.
        force: a command line that runs instead of whatever the client asks for.
        settings: further lines of ``sshd_config``; the first of a kind counts, and these come first.
        host: the address that it listens on.
    """
    need("sshd")
    # sshd looks in .ssh of the real home only if told to: all that it reads is named here.
    server = Sshd(folder, free_port(socket.AF_INET6 if ":" in host else socket.AF_INET), host=host)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd insists on it when root starts it
    server.home.mkdir(parents=True)
    (server.client / ".ssh").mkdir(parents=True)
    (server.client / ".ssh").chmod(0o700)
    for kind in kinds:
        make_key(server.host_key(kind), kind, comment="board")
    make_key(server.key)
    server.authorized_keys.write_text(server.key.with_suffix(".pub").read_text())
    server.known_hosts.write_text(server.known_hosts_line(kinds[0]))
    # ssh itself asks the system, and not HOME, where the user's folder is.
    server.config.write_text(
        f"IdentityFile {server.key}\nIdentitiesOnly yes\nUserKnownHostsFile {server.known_hosts}\n"
        "GlobalKnownHostsFile /dev/null\n"
    )
    wrapper = folder / "login-shell"
    words = " ".join(map(shlex.quote, shell))
    wrapper.write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(server.home))} || exit 1\n"
        f"HOME={shlex.quote(str(server.home))} SHELL={shlex.quote(shell[0])}; export HOME SHELL\n"
        "unset SHLVL XDG_DATA_HOME XDG_STATE_HOME XDG_CONFIG_HOME XDG_CACHE_HOME XDG_RUNTIME_DIR CI\n"
        + (f"PATH={shlex.quote(path)}; export PATH\n" if path is not None else "")
        + (f"printf '%s' {shlex.quote(banner)}\n" if banner else "")
        + (f"exec {force}\n" if force is not None else "")
        + f'if [ -n "$SSH_ORIGINAL_COMMAND" ]; then exec {words} -c "$SSH_ORIGINAL_COMMAND"; fi\n'
        f"exec {words}\n"
    )
    wrapper.chmod(0o755)
    lines = [
        *settings,
        f"ListenAddress {host}",
        f"Port {server.port}",
        *(f"HostKey {server.host_key(kind)}" for kind in kinds),
        f"AuthorizedKeysFile {server.authorized_keys}",
        f"PidFile {folder / 'sshd.pid'}",
        f"ForceCommand {wrapper}",
        f"SetEnv HOME={server.home}",
        f"Subsystem sftp {SFTP_SERVER}",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin prohibit-password",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitUserRC no",
        "PrintMotd no",
        "PrintLastLog no",
        "UseDNS no",
        "MaxStartups 100",
        "LoginGraceTime 60",
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    return server


@contextlib.contextmanager
def serving(folder: Path, **options: object) -> Iterator[Sshd]:
    """A server that runs while the context does; options as for :func:`make_sshd`."""
    server = make_sshd(folder, **options)  # type: ignore[arg-type]  # handed on as they are
    server.start()
    try:
        yield server
    finally:
        server.stop()
