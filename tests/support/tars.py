"""Bundles taken apart and put together wrong, for tests of readers.

``parts = take_apart(path)``, change the list, ``path.write_bytes(put_together(parts))``: every header is then what a
plain tar writer would write, so that only the change itself can be refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lading.bundle import media, ustar
from lading_agent.strictjson import dumps

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Part:
    """One member: its header is made from name and content unless ``header`` is given."""

    name: str
    content: bytes
    header: bytes | None = None

    def encode(self) -> bytes:
        """Header, content and padding."""
        head = ustar.header(self.name, len(self.content)) if self.header is None else self.header
        return head + self.content + bytes(ustar.padding(len(self.content)))


def take_apart(path: Path) -> list[Part]:
    """The members of a bundle, in order."""
    with tarfile.open(path) as tar:
        return [Part(info.name, tar.extractfile(info).read()) for info in tar]  # type: ignore[union-attr]


def put_together(parts: list[Part], end: bytes = ustar.END) -> bytes:
    """A tar of these members."""
    return b"".join(part.encode() for part in parts) + end


def header_of(info: tarfile.TarInfo) -> bytes:
    """A header as tarfile writes it, with a right checksum."""
    return info.tobuf(tarfile.USTAR_FORMAT)


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Part:
    """A link member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return Part(name, b"", header_of(info))


def lying(name: str, content: bytes, size: int) -> Part:
    """A member whose header says another size."""
    return Part(name, content, ustar.header(name, size))


def patched(header: bytes, at: int, value: bytes) -> bytes:
    """A header with other bytes at one place, and a checksum that is right again."""
    fields = bytearray(header)
    fields[at : at + len(value)] = value
    fields[148:156] = b"        "
    fields[148:156] = b"%06o\0 " % sum(fields)
    return bytes(fields)


def pax(name: str, records: dict[str, str], content: bytes) -> list[Part]:
    """A pax record and the member it is for."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.pax_headers = records
    raw = info.tobuf(tarfile.PAX_FORMAT)
    return [Part("", b"", raw[: -ustar.BLOCK]), Part(name, content, raw[-ustar.BLOCK :])]


@dataclass
class Forged:
    """A bundle whose manifest is changed, with names and digests that fit again."""

    parts: list[Part]
    manifest: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.manifest = json.loads(self.parts[2].content)

    def encode(self, manifest: bytes | None = None) -> bytes:
        """The tar, its index made for the manifest (or for the bytes given instead)."""
        content = dumps(self.manifest) if manifest is None else manifest
        hexdigest = hashlib.sha256(content).hexdigest()
        index = json.loads(self.parts[1].content)
        index["manifests"][0].update(digest=f"sha256:{hexdigest}", size=len(content))
        head = [
            self.parts[0],
            Part(media.INDEX_MEMBER, dumps(index)),
            Part(media.BLOB_PREFIX + hexdigest, content),
        ]
        return put_together(head + self.parts[3:])


def shuffled_tar(parts: list[Part], *, prefix: str = "", directories: bool = True) -> bytes:
    """The members as another tool would write them: sorted otherwise, with directories, owners and times."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("blobs", "blobs/sha256") if directories else ():
            info = tarfile.TarInfo(prefix + name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for part in sorted(parts, key=lambda part: part.name):
            info = tarfile.TarInfo(prefix + part.name)
            info.size, info.mtime, info.uid, info.uname = len(part.content), 1_700_000_000.5, 1000, "me"
            tar.addfile(info, io.BytesIO(part.content))
    return stream.getvalue()
