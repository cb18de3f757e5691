"""OCI layouts that other tools wrote: a folder, or a tar with its members in any order.

Only names and places are learnt here; contents are hashed when they are copied. The tar reader knows regular files,
directories and the records with which tools write long names; it refuses everything else and never extracts.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from lading.bundle import media, ustar
from lading.bundle.manifest import DAMAGED, Descriptor, member_of
from lading.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_RECORD: Final = 64 * 1024
MAX_MEMBERS: Final = 4 * media.MAX_BLOBS
_BLOB_MEMBER: Final = re.compile(re.escape(media.BLOB_PREFIX) + r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Slice:
    """A part of a file that should have a digest."""

    digest: str
    size: int
    path: Path
    offset: int

    def copy_to(self, out: BinaryIO, step: Callable[[int], None]) -> None:
        """Append the bytes to ``out``.

        Raises:
            BundleError: they have another digest.
        """
        found = hashlib.sha256()
        left = self.size
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            while left and (chunk := file.read(min(left, media.CHUNK))):
                found.update(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
                left -= len(chunk)
                step(len(chunk))
        if left or f"sha256:{found.hexdigest()}" != self.digest:
            raise BundleError(f"{self.path} is damaged: the content of {self.digest} is another", remedy=DAMAGED)


class Layout:
    """An OCI layout on this machine: where each of its members lies."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._places = dict(_folder_members(path) if path.is_dir() else _tar_places(path))
        except OSError as error:
            raise BundleError(
                f"{path} cannot be read: {error.strerror}", remedy="give an OCI archive or an OCI layout folder"
            ) from None
        if media.INDEX_MEMBER not in self._places:
            raise BundleError(
                f"{path} is not an OCI layout: it has no index.json",
                remedy="give what `skopeo copy … oci-archive:FILE` or `oci:FOLDER` wrote",
            )

    def read(self, member: str, limit: int) -> bytes:
        """A small member.

        Raises:
            BundleError: it is missing or too long.
        """
        place = self._places.get(member)
        if place is None:
            raise BundleError(f"{self.path} lacks {member}", remedy=DAMAGED)
        path, offset, size = place
        if size > limit:
            raise BundleError(f"{self.path}: {member} is {size} bytes long; at most {limit} are read", remedy=DAMAGED)
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def read_blob(self, descriptor: Descriptor) -> bytes:
        """A small blob, verified.

        Raises:
            BundleError: it is missing, too long or damaged.
        """
        content = self.read(descriptor.member, media.MAX_JSON_BYTES)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != descriptor.digest:
            raise BundleError(f"{self.path} is damaged: the content of {descriptor.digest} is another", remedy=DAMAGED)
        return content

    def content(self, digest: str, size: int) -> Slice:
        """A blob of any size, to be verified when it is copied.

        Raises:
            BundleError: it is missing, or has another size.
        """
        place = self._places.get(member_of(digest))
        if place is None:
            raise BundleError(
                f"{self.path} lacks {digest}, which its bill lists",
                remedy="copy it again from the registry, all of it",
            )
        path, offset, found = place
        if found != size:
            raise BundleError(f"{self.path} gives {digest} {found} bytes; its bill says {size}", remedy=DAMAGED)
        return Slice(digest, size, path, offset)


_Place = tuple[Path, int, int]


def _wanted(name: str) -> bool:
    return name == media.INDEX_MEMBER or _BLOB_MEMBER.fullmatch(name) is not None


def _folder_members(root: Path) -> Iterator[tuple[str, _Place]]:
    for name in (media.INDEX_MEMBER, *_blob_names(root / media.BLOB_PREFIX)):
        path = root / name
        if _wanted(name) and path.is_file():
            yield name, (path, 0, path.stat().st_size)


def _blob_names(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        for entry in os.scandir(folder):
            yield media.BLOB_PREFIX + entry.name


def _tar_places(path: Path) -> Iterator[tuple[str, _Place]]:
    if not path.is_file():
        raise BundleError(
            f"{path} is neither a file nor a folder", remedy="give an OCI archive or an OCI layout folder"
        )
    seen: set[str] = set()
    with path.open("rb") as file:
        for name, offset, size in _members(file, path):
            name = name.removeprefix("./")
            if not _wanted(name):
                continue
            if name in seen:
                raise BundleError(f"{path} holds {name} twice", remedy=DAMAGED)
            seen.add(name)
            yield name, (path, offset, size)


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of every regular file in a tar."""
    end = os.fstat(file.fileno()).st_size
    at = 0
    override: dict[str, str] = {}
    for _ in range(MAX_MEMBERS):
        block = os.pread(file.fileno(), ustar.BLOCK, at)
        if len(block) < ustar.BLOCK or not any(block):
            return
        found = ustar.diagnose(block)
        if not found.intact:
            what = "is not a tar file" if at == 0 else "is damaged: a header is not one"
            hint = " (it is compressed with gzip)" if block[:2] == b"\x1f\x8b" else ""
            raise BundleError(f"{path} {what}{hint}", remedy="give an OCI archive, not compressed, or a layout folder")
        size = _number(override.get("size")) if "size" in override else found.size
        at += ustar.BLOCK
        if size is None or at + size > end:
            raise BundleError(f"{path}: the size of '{found.name}' goes beyond the end of the file", remedy=DAMAGED)
        flag = block[156:157]
        if flag in (b"x", b"g", b"L"):
            if size > MAX_RECORD:
                raise BundleError(f"{path} has a header record of {size} bytes", remedy=DAMAGED)
            record = os.pread(file.fileno(), size, at)
            if flag == b"x":
                override = _pax(record, path)
            elif flag == b"L":
                override = {"path": record.rstrip(b"\0").decode("utf-8", "replace")}
        else:
            if (found.kind and flag != b"5") or any(key.startswith("GNU.sparse") for key in override):
                kind = found.kind or "a sparse file"
                raise BundleError(f"{path} holds {kind}: '{found.name}'", remedy=DAMAGED)
            if not found.kind:
                yield override.get("path", found.name), at, size
            override = {}
        at += size + ustar.padding(size)
    raise BundleError(f"{path} has more than {MAX_MEMBERS} members", remedy="is it the right file?")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 20 else None


def _pax(record: bytes, path: Path) -> dict[str, str]:
    """The records of a pax header: ``LENGTH KEY=VALUE\\n`` each."""
    found: dict[str, str] = {}
    at = 0
    while at < len(record):
        digits, space, _ = record[at : at + 8].partition(b" ")
        length = _number(digits.decode("ascii", "replace"))
        line = record[at : at + length] if length else b""
        key, equals, value = line[len(digits) + 1 :].partition(b"=")
        if not space or not equals or not line.endswith(b"\n"):
            raise BundleError(f"{path} has a damaged pax record", remedy=DAMAGED)
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "replace")
        at += len(line)
    return found
