"""Blob contents on this machine: hashed in one pass, copied in another, never whole in memory."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lading.bundle import media
from lading.errors import ProjectError
from lading.files import open_regular
from lading_agent.bill import MAX_BLOB_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Content(Protocol):
    """Bytes of a known digest and size that can be copied into a file."""

    @property
    def digest(self) -> str:
        """``sha256:…``"""

    @property
    def size(self) -> int:
        """Number of bytes."""

    def copy_to(self, out: BinaryIO, step: Callable[[int], None]) -> None:
        """Append the bytes to ``out``, a file with nothing buffered.

        Raises:
            LadingError: they are not the bytes of that digest any more.
        """


@dataclass(frozen=True)
class Bytes:
    """Content in memory."""

    digest: str
    data: bytes

    @classmethod
    def of(cls, data: bytes) -> Bytes:
        """Content of these bytes."""
        return cls("sha256:" + hashlib.sha256(data).hexdigest(), data)

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.data)

    def copy_to(self, out: BinaryIO, step: Callable[[int], None]) -> None:
        """See :class:`Content`."""
        write_all(out, self.data)
        step(len(self.data))

    def read(self) -> bytes:
        """All of the bytes."""
        return self.data


@dataclass(frozen=True)
class FileContent:
    """Content of a file, as it was when it was hashed."""

    digest: str
    size: int
    path: Path
    seen: tuple[int, int, int]

    @classmethod
    def hashed(cls, path: Path, what: str, step: Callable[[int], None] | None = None) -> FileContent:
        """Hash a file.

        Args:
            path: the file.
            what: what it is to the project, for messages: ``the module``, ``model 'digits'``.
            step: progress.

        Raises:
            ProjectError: it cannot be read, or is too large for a bundle.
        """
        try:
            with open_regular(path) as file:
                before = os.fstat(file.fileno())
                if before.st_size > MAX_BLOB_BYTES:
                    raise ProjectError(
                        f"{path}: {what} is {before.st_size} bytes long; a bundle holds files below 8 GiB",
                        remedy="split it",
                    )
                found = hashlib.sha256()
                buffer = memoryview(bytearray(media.CHUNK))
                size = 0
                while count := os.readv(file.fileno(), [buffer]):
                    found.update(buffer[:count])
                    size += count
                    if step:
                        step(count)
        except OSError as error:
            raise ProjectError(
                f"{path}: {what} cannot be read: {error.strerror}", remedy="correct its path in lading.toml"
            ) from None
        if size != before.st_size:
            raise _changed(path)
        return cls("sha256:" + found.hexdigest(), size, path, _identity(before))

    def copy_to(self, out: BinaryIO, step: Callable[[int], None]) -> None:
        """See :class:`Content`."""
        with open_regular(self.path) as file:
            if _identity(os.fstat(file.fileno())) != self.seen:
                raise _changed(self.path)
            copied = _copy(file.fileno(), out.fileno(), self.size, step)
            if copied != self.size or _identity(os.fstat(file.fileno())) != self.seen:
                raise _changed(self.path)

    def read(self) -> bytes:
        """All of the bytes.

        Raises:
            ProjectError: they are not the bytes of that digest any more.
        """
        data = self.path.read_bytes()
        if "sha256:" + hashlib.sha256(data).hexdigest() != self.digest:
            raise _changed(self.path)
        return data


def write_all(out: BinaryIO, data: bytes) -> None:
    """Append to a file with nothing buffered; a disk that fills up in the middle is an error at once."""
    _write_to(out.fileno(), data)


def _write_to(target: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(target, left) :]


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> ProjectError:
    return ProjectError(f"{path} changed while it was being packed", remedy="pack again when it is finished")


def _copy(source: int, target: int, size: int, step: Callable[[int], None]) -> int:
    """Copy ``size`` bytes between file positions: in the kernel where it can, else through a buffer."""
    copied = 0
    in_kernel = hasattr(os, "copy_file_range")
    while copied < size:
        wanted = min(size - copied, 64 * media.CHUNK)
        if in_kernel:
            try:
                count = os.copy_file_range(source, target, wanted)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                    raise
                in_kernel = False
                continue
        else:
            chunk = os.read(source, min(wanted, media.CHUNK))
            count = len(chunk)
            _write_to(target, chunk)
        if count == 0:
            break
        copied += count
        step(count)
    return copied
