"""Reads a bundle that may come from anybody.

The walk is led by what is trusted so far: the layout marker is known, the index names the manifest, the manifest names
every other member, with its size. Each header must be, to the bit, the one that follows; so nothing in the file can
differ unseen: headers by comparison, contents by digest, padding by being zero. Nothing is ever extracted by a name
from the file.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Self, TypeVar, cast

from lading.bundle import media, ustar
from lading.bundle.manifest import (
    DAMAGED,
    Descriptor,
    Manifest,
    find_bill,
    index_for,
    labels_of,
    read_index,
    read_manifest,
)
from lading.errors import BundleError
from lading_agent.ahead import MAGIC, ahead_of
from lading_agent.bill import Bill, BillError
from lading_agent.strictjson import Node, StrictJsonError, loads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from lading_agent.bill import Variant

_T = TypeVar("_T")
_R = TypeVar("_R")

IMPORT = "if a registry tool wrote it, `lading import` makes a bundle of it; otherwise get it again from its source"


@dataclass(frozen=True)
class _Place:
    offset: int
    size: int


class Bundle:
    """An open bundle whose structure has been checked. Use :func:`open_bundle`.

    The contents of the blobs are checked by :meth:`verify`; manifest and bill already have been.
    """

    def __init__(self, path: Path, file: io.BufferedReader) -> None:
        self.path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._places: dict[str, _Place] = {}
        self._walk()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; blobs opened from it cannot be read any more."""
        self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self._size

    @property
    def digest(self) -> str:
        """The top manifest's digest: the bundle's name in a registry."""
        return self._manifest_descriptor.digest

    @property
    def manifest(self) -> Manifest:
        """The top manifest."""
        return self._manifest

    @property
    def manifest_bytes(self) -> bytes:
        """The top manifest as it stands in the file."""
        return self._manifest_bytes

    @property
    def bill(self) -> Bill:
        """The bill."""
        return self._bill

    @property
    def bill_bytes(self) -> bytes:
        """The bill as it stands in the file: canonical JSON."""
        return self._bill_bytes

    @property
    def blobs(self) -> Mapping[str, int]:
        """Digest and size of every blob that the manifest lists."""
        return MappingProxyType({digest: place.size for digest, place in self._places.items()})

    def open_blob(self, digest: str) -> BinaryIO:
        """A seekable file of one blob, for as long as the bundle is open. Its content is not verified.

        Raises:
            BundleError: the bundle has no such blob.
        """
        place = self._places.get(digest)
        if place is None:
            self._refuse(f"has no blob {digest}")
        return cast("BinaryIO", _Blob(self._file, place))

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Read every blob once and compare it with its digest.

        Args:
            progress: called with bytes done and bytes in all.

        Raises:
            BundleError: a blob is damaged, or a guest is machine code where its variant does not say so.
        """
        total = sum(place.size for place in self._places.values())
        done = 0
        buffer = memoryview(bytearray(media.CHUNK))
        for digest in self._places:
            found = hashlib.sha256()
            blob = self.open_blob(digest)
            while count := blob.readinto(buffer):  # type: ignore[attr-defined]
                found.update(buffer[:count])
                done += count
                if progress:
                    progress(done, total)
            if f"sha256:{found.hexdigest()}" != digest:
                self._refuse(f"is damaged: the content of {digest} is another", DAMAGED)
        for variant in self._bill.variants:
            self._check_guest(variant)

    def _check_guest(self, variant: Variant) -> None:
        """Machine code is where its variant says so, and nowhere else."""
        is_code = self.open_blob(variant.module.digest).read(len(MAGIC)) == MAGIC
        if is_code != (ahead_of(variant) is not None):
            said = "machine code, and does not say so" if is_code else "none of the machine code that it speaks of"
            self._refuse(f"has variant '{variant.id}', which holds {said}", DAMAGED)

    def _walk(self) -> None:
        at = self._expect(0, media.LAYOUT_MEMBER, len(media.LAYOUT_BYTES))
        if self._read(at) != media.LAYOUT_BYTES:
            self._refuse("has an oci-layout file of another version", IMPORT)
        index_place = self._expect_index(self._after(at))
        index = self._read(index_place)
        self._manifest_descriptor = self._named(read_index, index)
        if self._manifest_descriptor.size > media.MAX_JSON_BYTES:
            self._refuse(f"has a manifest of more than {media.MAX_JSON_BYTES} bytes", DAMAGED)
        at = self._expect(self._after(index_place), self._manifest_descriptor.member, self._manifest_descriptor.size)
        self._manifest_bytes = self._read_checked(at, self._manifest_descriptor)
        self._manifest = self._named(read_manifest, self._manifest_bytes)
        seen = {media.LAYOUT_MEMBER, media.INDEX_MEMBER, self._manifest_descriptor.member}
        for blob in self._manifest.blobs:
            at = self._expect(self._after(at), blob.member, blob.size, seen)
            self._places[blob.digest] = at
            seen.add(blob.member)
        self._expect_end(self._after(at), seen)
        self._read_bill()
        if index != index_for(self._manifest_bytes, self._bill.app.version):
            self._refuse("has an index.json that does not belong to its manifest", IMPORT)

    def _read_bill(self) -> None:
        descriptor = self._named(find_bill, self._manifest)
        if self._manifest.layers[0] != descriptor:
            self._refuse("does not have its bill as the first layer", IMPORT)
        self._bill_bytes = self._read_checked(self._places[descriptor.digest], descriptor)
        try:
            self._bill = Bill.parse(self._bill_bytes)
        except BillError as error:
            raise BundleError(f"{self.path.name}: the bill is refused: {error}", remedy=error.remedy) from None
        listed = self._bill.all_blobs()
        for layer in self._manifest.layers[1:]:
            if layer.digest not in listed and layer.media_type not in media.DESCRIPTIONS:
                self._refuse(f"holds {layer.digest}, which its bill does not list", DAMAGED)
        for digest, size in listed.items():
            if digest not in self._places:
                self._refuse(f"lacks {digest}, which its bill lists", DAMAGED)
            if self._places[digest].size != size:
                self._refuse(f"gives {digest} another size than its bill does", DAMAGED)
        self._check_names()

    def _check_names(self) -> None:
        # What other tools show of a bundle must be what it is.
        config = self._manifest.config
        if config.media_type != media.IMAGE_CONFIG or config.size > media.MAX_JSON_BYTES:
            self._refuse("has a config that is not an image config", DAMAGED)
        try:
            document = loads(self._read_checked(self._places[config.digest], config), max_bytes=media.MAX_JSON_BYTES)
            labels = Node(document["config"]["Labels"]).free_object()
        except (StrictJsonError, KeyError, TypeError):
            self._refuse("has an image config without labels", DAMAGED)
        for name, value in labels_of(self._bill).items():
            if labels.get(name) != value or self._manifest.annotations.get(name) != value:
                self._refuse("is labelled as another app, version or serial than its bill says", DAMAGED)

    def _expect(self, offset: int, name: str, size: int, seen: set[str] | None = None) -> _Place:
        block = self._block(offset)
        if block != ustar.header(name, size):
            self._explain(block, name, size, seen or set())
        return self._content(offset, name, size)

    def _expect_index(self, offset: int) -> _Place:
        block = self._block(offset)
        size = ustar.octal(block[124:136])
        if size is None or size > media.MAX_INDEX_BYTES:
            size = media.MAX_INDEX_BYTES
        if block != ustar.header(media.INDEX_MEMBER, size):
            self._explain(block, media.INDEX_MEMBER, size, set())
        return self._content(offset, media.INDEX_MEMBER, size)

    def _content(self, offset: int, name: str, size: int) -> _Place:
        place = _Place(offset + ustar.BLOCK, size)
        after = self._after(place)
        if after > self._size:
            self._refuse(f"is truncated: it ends within {name}, which is {size} bytes long", DAMAGED)
        if any(os.pread(self._file.fileno(), after - place.offset - size, place.offset + size)):
            self._refuse(f"is damaged: the padding after {name} is not zero", DAMAGED)
        return place

    def _expect_end(self, offset: int, seen: set[str]) -> None:
        end = os.pread(self._file.fileno(), len(ustar.END), offset)
        if any(end[: ustar.BLOCK]):
            found = ustar.diagnose(end[: ustar.BLOCK].ljust(ustar.BLOCK, b"\0"))
            what = found.kind or "a member"
            if found.intact and found.name in seen:
                self._refuse(f"holds {found.name} twice", DAMAGED)
            self._refuse(f"holds {what} that its manifest does not list: '{found.name}'", DAMAGED)
        if end != ustar.END:
            self._refuse("is truncated or damaged: its end mark is not whole", DAMAGED)
        if self._size != offset + len(ustar.END):
            self._refuse(f"has {self._size - offset - len(ustar.END)} bytes after its end mark", IMPORT)

    def _block(self, offset: int) -> bytes:
        block = os.pread(self._file.fileno(), ustar.BLOCK, offset)
        if len(block) < ustar.BLOCK:
            self._refuse("is truncated: it ends where a member should begin", DAMAGED)
        return block

    def _explain(self, block: bytes, name: str, size: int, seen: set[str]) -> NoReturn:
        if not any(block):
            self._refuse(f"lacks {name}: it ends before all members have come", DAMAGED)
        found = ustar.diagnose(block)
        if not found.intact:
            if name == media.LAYOUT_MEMBER:
                self._refuse(
                    "is not a bundle: it does not begin with a tar header", "give a file that `lading pack` made"
                )
            self._refuse(f"is damaged: the header where {name} should begin is not one", DAMAGED)
        if found.kind:
            self._refuse(f"holds {found.kind} where {name} should be: '{found.name}'", IMPORT)
        if found.name in seen:
            self._refuse(f"holds {found.name} twice", DAMAGED)
        if found.name != name:
            self._refuse(f"holds '{found.name}' where {name} should be", IMPORT)
        if found.size != size:
            shown = "a size that is not plain" if found.size is None else f"{found.size} bytes"
            self._refuse(f"has {name} with {shown}; it should be {size} bytes", DAMAGED)
        self._refuse(f"has a header of {name} that is not canonical", IMPORT)

    def _after(self, place: _Place) -> int:
        return place.offset + place.size + ustar.padding(place.size)

    def _read(self, place: _Place) -> bytes:
        return os.pread(self._file.fileno(), place.size, place.offset)

    def _read_checked(self, place: _Place, descriptor: Descriptor) -> bytes:
        content = self._read(place)
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != descriptor.digest:
            self._refuse(f"is damaged: the content of {descriptor.digest} is another", DAMAGED)
        return content

    def _named(self, read: Callable[[_T], _R], content: _T) -> _R:
        """Read a part; what is wrong with it is said with the file's name."""
        try:
            return read(content)
        except BundleError as error:
            raise BundleError(f"{self.path.name}: {error.message}", remedy=error.remedy) from None

    def _refuse(self, why: str, remedy: str = "") -> NoReturn:
        raise BundleError(f"{self.path.name} {why}", remedy=remedy)


class _Blob(io.RawIOBase):
    """A window on the bundle's file, with a position of its own."""

    def __init__(self, file: io.BufferedReader, place: _Place) -> None:
        self._file, self._place, self._at = file, place, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def where(self) -> tuple[int, int]:
        """The descriptor of the bundle's file, and where the blob begins in it."""
        return self._file.fileno(), self._place.offset

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._place.size}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} is before the blob's beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        count = max(0, min(len(buffer), self._place.size - self._at))
        if not count:
            return 0
        read = os.preadv(self._file.fileno(), [memoryview(buffer)[:count]], self._place.offset + self._at)
        self._at += read
        return read


def open_bundle(path: Path | str) -> Bundle:
    """Open a bundle and check its structure: members, sizes, manifest and bill. Use it as a context manager.

    Raises:
        BundleError: the file is not there, not a bundle, damaged or hostile.
    """
    path = Path(path)
    remedy = "give the path of a file that `lading pack` made"
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise BundleError(f"{path} is not a regular file", remedy=remedy)
        file = path.open("rb")
    except OSError as error:
        raise BundleError(f"{path} cannot be opened: {error.strerror}", remedy=remedy) from None
    try:
        return Bundle(path, file)
    except OSError as error:
        file.close()
        raise BundleError(f"{path} cannot be read: {error.strerror}", remedy="look at the disk it is on") from None
    except BaseException:
        file.close()
        raise
