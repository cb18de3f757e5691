"""A LittleFS in memory, with the files of one device."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lading.errors import FlashImageError, SmpRefused
from lading.firmware.files import Files

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.targets.schema import LittleFs

DISK_VERSION: Final = 0x0002_0001
"""LittleFS 2.1, which Zephyr writes since 3.4 and reads since 3.5."""
LOOKAHEAD: Final = 32
BLOCK_CYCLES: Final = 512
_NO_SPACE: Final = -28
_READ: Final = 16 * 1024


def installed() -> bool:
    """Whether LittleFS is there."""
    return importlib.util.find_spec("littlefs") is not None


class ImageFiles(Files):
    """The files of a device that is an image: what a push does over SMP is done to the file system at once.

    Args:
        size: octets of the partition.
        form: how the firmware mounts it.
        root: the folder for releases, mount point and all: ``/lfs1``.

    Raises:
        FlashImageError: LittleFS is not installed.
    """

    def __init__(self, size: int, form: LittleFs, root: str) -> None:
        if not installed():
            raise FlashImageError(
                "flash images need littlefs-python, which is not installed", remedy="pip install 'lading[flash]'"
            )
        from littlefs import LittleFS

        self._system: Any = LittleFS(
            block_size=int(form.block_size),
            block_count=size // int(form.block_size),
            read_size=int(form.prog_size),
            prog_size=int(form.prog_size),
            cache_size=int(form.cache_size),
            lookahead_size=LOOKAHEAD,
            block_cycles=BLOCK_CYCLES,
            disk_version=DISK_VERSION,
            mount=False,
        )
        self._system.format()
        self._system.mount()
        self._block = int(form.block_size)
        self._root = "/".join(("", *root.strip("/").split("/")[1:]))  # the mount point is not part of the file system
        if self._root:
            self._system.makedirs(self._root)
        self._compares = "read"

    @property
    def used_bytes(self) -> int:
        """Octets of the blocks that are in use, the file system's own included."""
        return int(self._system.used_block_count) * self._block

    def image(self) -> bytes:
        """The partition, whole."""
        return bytes(self._system.context.buffer)

    def listing(self) -> dict[str, int]:
        """The files with their lengths."""
        return {str(name): self.length(str(name)) or 0 for name in sorted(self._system.listdir(self._root or "/"))}

    def path(self, name: str) -> str:
        """A file's whole path."""
        return f"{self._root}/{name}"

    def length(self, name: str) -> int | None:
        """Octets of a file; None if there is none."""
        from littlefs import LittleFSError

        try:
            return int(self._system.stat(self.path(name)).size)
        except LittleFSError:
            return None

    def read(self, name: str, limit: int) -> bytes | None:
        """The first ``limit`` octets of a file; None if there is none."""
        if self.length(name) is None:
            return None
        with self._system.open(self.path(name), "rb") as file:
            return bytes(file.read(limit))

    def same(self, name: str, content: BinaryIO, length: int) -> bool:
        """Whether a file begins with the first ``length`` octets of ``content``."""
        content.seek(0)
        return self.read(name, length) == content.read(length)

    def write(
        self,
        name: str,
        content: BinaryIO,
        size: int,
        offset: int = 0,
        progress: Callable[[int], None] = lambda _octets: None,
        *,
        in_one_go: bool = False,  # noqa: ARG002 - a file is whole when it is closed, always
    ) -> None:
        """Write a file.

        Raises:
            SmpRefused: the file system is full; as a firmware says it.
        """
        from littlefs import LittleFSError

        try:
            with self._system.open(self.path(name), "wb") as file:
                done = 0
                content.seek(0)
                while done < size and (data := content.read(min(_READ, size - done))):
                    file.write(data)
                    done += len(data)
                    progress(max(0, done - max(offset, done - len(data))))
        except (LittleFSError, OSError) as error:
            full = _NO_SPACE in (getattr(error, "code", None), -(getattr(error, "errno", None) or 0))
            reason = "FILE_WRITE_FAILED" if full else "EIO"
            raise SmpRefused(f"{name} cannot be written: {error}", reason=reason) from error

    def close(self) -> None:
        """Nothing is held open."""
