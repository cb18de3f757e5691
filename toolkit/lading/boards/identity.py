"""What makes one board differ from others of its image: its host key, the key that it lets in, a password.

They are made when a board is first used, lie in its state folder, and reach the board with its initial RAM disk.
Nothing of the user's own SSH configuration is read or written.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.boards import rootfs

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS: Final = 5
"""Of bcrypt: the board checks it instruction by instruction, and its console is on this machine only."""
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True)
class Identity:
    """The files of one board's identity."""

    folder: Path

    @property
    def client_key(self) -> Path:
        """The private key that the board lets in."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """What knows the board's host key."""
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        """An ``ssh_config`` for this board alone: ``ssh -F``."""
        return self.folder / "ssh_config"

    @property
    def password(self) -> str:
        """What the console asks the user for."""
        return (self.folder / "password").read_text().strip()

    @property
    def host_key(self) -> str:
        """The board's public host key: ``ssh-ed25519 AAAA…``."""
        return (self.folder / "host_key.pub").read_text().strip()

    @property
    def fingerprint(self) -> str:
        """The board's host key as ``ssh-ed25519 SHA256:…``."""
        kind, blob = self.host_key.split()[:2]
        digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode().rstrip("=")
        return f"{kind} SHA256:{digest}"

    def for_board(self, hostname: str) -> dict[str, bytes]:
        """What the board gets with its initial RAM disk."""
        files = {
            "host_key": (self.folder / "host_key").read_bytes(),
            "host_key.pub": (self.folder / "host_key.pub").read_bytes(),
            "authorized_keys": self.client_key.with_suffix(".pub").read_bytes(),
            "password": (self.folder / "password.hash").read_bytes(),
            "hostname": hostname.encode() + b"\n",
        }
        mark = hashlib.sha256(b"\0".join(name.encode() + b"\0" + files[name] for name in sorted(files))).hexdigest()
        return {**files, "mark": mark.encode() + b"\n"}

    def enrol(self, name: str, port: int) -> None:
        """Write down where the board is reached now, for ``ssh -F`` and for lading's own SSH."""
        _write(self.known_hosts, f"[127.0.0.1]:{port} {self.host_key}\n")
        _write(
            self.config,
            f"Host {name} 127.0.0.1\n"
            "  HostName 127.0.0.1\n"
            f"  Port {port}\n"
            f"  User {rootfs.USER}\n"
            f'  IdentityFile "{self.client_key}"\n'
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f'  UserKnownHostsFile "{self.known_hosts}"\n'
            "  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n"
            "  PasswordAuthentication no\n"
            "  LogLevel ERROR\n",
        )


def identity_of(folder: Path) -> Identity:
    """A board's identity, made where it is missing; nobody but the user may read it."""
    if not (folder / "password.hash").exists():
        import bcrypt

        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, comment in (("host_key", "board"), ("id_ed25519", "lading")):
            private, public = _key_pair(comment)
            _write(folder / name, private)
            _write(folder / f"{name}.pub", public)
        password = "".join(secrets.choice(_LETTERS) for _ in range(10))
        _write(folder / "password", password + "\n")
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
        _write(folder / "password.hash", hashed + "\n")  # the last one: with it the identity is whole
    return Identity(folder)


def _key_pair(comment: str) -> tuple[str, str]:
    """A new key: its private half as OpenSSH writes it, and its public half as one line."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}\n"


def _write(path: Path, text: str) -> None:
    """Write a file that only the user may read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
