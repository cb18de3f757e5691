"""``known_hosts``: which keys belong to which hosts, as OpenSSH writes it down."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.links.ssh_config import DEFAULT_PORT, pattern_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LARGEST: Final = 64 * 1024 * 1024
REVOKED: Final = "@revoked"
AUTHORITY: Final = "@cert-authority"


@dataclass(frozen=True)
class HostKey:
    """A host's public key."""

    kind: str
    """Its type: ``ssh-ed25519``, ``ecdsa-sha2-nistp256``, ``ssh-rsa`` …"""
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:…`` as OpenSSH shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def base64(self) -> str:
        """The key as it stands in files."""
        return base64.b64encode(self.blob).decode()

    def __str__(self) -> str:
        return f"{self.kind} {self.fingerprint}"


@dataclass(frozen=True)
class KnownHost:
    """One line."""

    file: Path
    number: int
    marker: str
    patterns: str
    key: HostKey

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.file}:{self.number}"

    def fits(self, name: str) -> bool:
        """Whether the line is about a host, by its name as :func:`host_name` makes it."""
        if self.patterns.startswith("|1|"):
            return _hashed(self.patterns, name)
        return pattern_list(self.patterns.split(","), name)


def host_name(host: str, port: int = DEFAULT_PORT) -> str:
    """The name that a host has in ``known_hosts``: ``host``, or ``[host]:port``."""
    host = host.lower()
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def _hashed(text: str, name: str) -> bool:
    try:
        _, _, salt, digest = text.split("|")
        want = base64.b64decode(digest, validate=True)
        return hmac.compare_digest(hmac.digest(base64.b64decode(salt, validate=True), name.encode(), "sha1"), want)
    except (ValueError, binascii.Error):
        return False


def read(files: Iterable[Path]) -> list[KnownHost]:
    """Every line that can be understood; a file that is missing or unreadable holds none."""
    found: list[KnownHost] = []
    for file in files:
        try:
            with file.open("rb") as stream:
                data = stream.read(LARGEST)
        except OSError:
            continue
        for number, line in enumerate(data.decode("utf-8", "surrogateescape").split("\n"), 1):
            known = parse_line(line, file, number)
            if known is not None:
                found.append(known)
    return found


def parse_line(line: str, file: Path, number: int) -> KnownHost | None:
    """One line; None for comments and for what is no host key."""
    words = line.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in {"", REVOKED, AUTHORITY}:
        return None
    try:
        blob = base64.b64decode(words[2], validate=True)
    except (ValueError, binascii.Error):
        return None
    kind = words[1]
    head = len(kind).to_bytes(4, "big") + kind.encode("utf-8", "surrogateescape")
    if not blob.startswith(head):  # the blob names its own type: a line that says another one is damaged
        return None
    return KnownHost(file, number, marker, words[0], HostKey(kind, blob))


def about(lines: Sequence[KnownHost], host: str, port: int, alias: str | None = None) -> list[KnownHost]:
    """The lines about a host."""
    name = alias.lower() if alias is not None else host_name(host, port)
    return [line for line in lines if line.fits(name)]
