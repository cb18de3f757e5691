"""Files of a microcontroller over SMP's file group: read, write, compare; each write can be gone on with."""

from __future__ import annotations

import binascii
import hashlib
import io
from typing import TYPE_CHECKING, BinaryIO, Final

from lading.errors import BundleError, LadingError, SmpGarbled, SmpRefused, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.links.smp import SmpLink

EMPTY: Final = b"\0"
"""What stands in a file that is not needed: the protocol can neither delete a file nor cut it to nothing."""
MOST_FAILURES: Final = 8
LEAST_CHUNK: Final = 32
HASH_S: Final = 60.0
READ: Final = 16 * 1024
_UNKNOWN_COMMAND: Final = frozenset(("ENOTSUP", "CHECKSUM_HASH_NOT_FOUND"))
_NO_FILE: Final = frozenset(("FILE_NOT_FOUND", "ENOENT", "MOUNT_POINT_NOT_FOUND"))


class Files:
    """The files in one folder of a device.

    Args:
        link: to the device.
        root: the folder.
        sync_bytes: octets after which what was written is made to last, so that a reset costs no more than that.
    """

    def __init__(self, link: SmpLink, root: str, sync_bytes: int) -> None:
        self._link = link
        self._root = root.rstrip("/")
        self._sync = sync_bytes
        self._most = 1 << 16
        self._compares: str | None = None
        self._close_unknown = False

    @property
    def compares(self) -> str:
        """How contents are compared: ``sha256`` or ``crc32`` on the device, or ``read`` back."""
        return self._compares or "sha256"

    def path(self, name: str) -> str:
        """A file's whole path."""
        return f"{self._root}/{name}"

    def length(self, name: str) -> int | None:
        """Octets of a file; None if there is none."""
        from smpclient.requests.file_management import FileDownload, FileStatus

        try:
            return int(self._link.ask(FileStatus(name=self.path(name))).len)
        except SmpRefused as refused:
            if refused.reason in _NO_FILE:
                return None
            if refused.reason not in _UNKNOWN_COMMAND:
                raise
        try:
            return int(self._link.ask(FileDownload(name=self.path(name), off=0)).len or 0)
        except SmpRefused as refused:
            if refused.reason in _NO_FILE:
                return None
            raise

    def read(self, name: str, limit: int) -> bytes | None:
        """The first ``limit`` octets of a file; None if there is none.

        Raises:
            SmpGarbled: the device gives other parts than it is asked for.
        """
        from smpclient.requests.file_management import FileDownload

        found = bytearray()
        while len(found) < limit:
            try:
                answer = self._link.ask(FileDownload(name=self.path(name), off=len(found)))
            except SmpRefused as refused:
                if not found and refused.reason in _NO_FILE:
                    return None
                if refused.reason == "FILE_EMPTY":
                    break
                raise
            if answer.off != len(found):
                raise SmpGarbled(
                    f"{self._link.description}: {self.path(name)}: the device gives another part than it was asked for",
                    remedy="see that nobody else uses the port",
                )
            found += answer.data
            if not answer.data or (answer.len is not None and len(found) >= answer.len):
                break
        return bytes(found[:limit])

    def same(self, name: str, content: BinaryIO, length: int) -> bool:
        """Whether a file begins with the first ``length`` octets of ``content``; compared on the device if it can."""
        if length == 0:
            return True
        for way in ("sha256", "crc32"):
            if self._compares in (None, way):
                try:
                    return self._same_sum(name, content, length, way)
                except SmpRefused as refused:
                    if refused.reason in ("FILE_EMPTY", *_NO_FILE):
                        return False
                    if refused.reason not in _UNKNOWN_COMMAND:
                        raise
        self._compares = "read"
        content.seek(0)
        return self.read(name, length) == content.read(length)

    def _same_sum(self, name: str, content: BinaryIO, length: int, way: str) -> bool:
        from smpclient.requests.file_management import FileHashChecksum

        request = FileHashChecksum(name=self.path(name), type="sha256" if way == "sha256" else "crc32", len=length)
        answer = self._link.ask(request, timeout_s=max(HASH_S, self._link.answer_s))
        self._compares = way
        hasher, crc = hashlib.sha256(), 0
        content.seek(0)
        left = length
        while left and (data := content.read(min(READ, left))):
            hasher.update(data)
            crc = binascii.crc32(data, crc)
            left -= len(data)
        ours: bytes | int = hasher.digest() if way == "sha256" else crc
        return not left and int(answer.len) == length and answer.output == ours

    def write(
        self,
        name: str,
        content: BinaryIO,
        size: int,
        offset: int = 0,
        progress: Callable[[int], None] = lambda _octets: None,
        *,
        in_one_go: bool = False,
    ) -> None:
        """Write a file, or go on with one that has its first ``offset`` octets.

        Args:
            name: the file.
            content: what is to be in it, seekable.
            size: octets of it.
            offset: what the device has already.
            progress: called with octets as they are written.
            in_one_go: make it last only at the end. Making a beginning last costs a second copy of its last block.

        Raises:
            SmpRefused: the firmware says no; ``FILE_WRITE_FAILED`` is what it says when space is used up.
            TimedOut, SmpGarbled: the answers stay away.
        """
        self.close()
        done = synced = offset
        failures = 0
        while done < size:
            chunk = self._chunk(name, content, done, size)
            try:
                took = self._write(name, chunk, done, size)
            except (TimedOut, SmpGarbled, SmpRefused) as error:
                if isinstance(error, SmpRefused) and error.reason != "FILE_OFFSET_NOT_VALID":
                    raise
                failures += 1
                if failures > MOST_FAILURES:
                    raise
                self._most = max(LEAST_CHUNK, min(self._most, len(chunk)) // 2)
                done = synced = self._where(name, done, len(chunk))
                continue
            if took != done + len(chunk):
                failures += 1
                if failures > MOST_FAILURES:
                    raise SmpGarbled(
                        f"{self._link.description}: {self.path(name)}: the device counts otherwise than was sent",
                        remedy="see that nobody else uses the port",
                    )
                done = synced = self._where(name, done, len(chunk))
                continue
            progress(len(chunk))
            done = took
            if done - synced >= self._sync and done < size and not in_one_go:
                self.close()
                synced = done
        self.close()

    def write_all(self, name: str, data: bytes) -> None:
        """Write a small file in one go."""
        self.write(name, io.BytesIO(data), len(data))

    def empty(self, name: str) -> None:
        """Give back what a file takes."""
        self.write_all(name, EMPTY)

    def close(self) -> None:
        """Have the device close what it holds open: what was written lasts from here on."""
        from smpclient.requests.file_management import FileClose, FileDownload

        if not self._close_unknown:
            try:
                self._link.ask(FileClose())
            except SmpRefused as refused:
                if refused.reason not in _UNKNOWN_COMMAND:
                    raise
                self._close_unknown = True
            else:
                return
        try:  # firmware before Zephyr 3.5: opening another file closes the one before
            self._link.ask(FileDownload(name=self.path("ldnone"), off=0))
        except SmpRefused:
            return

    def _chunk(self, name: str, content: BinaryIO, done: int, size: int) -> bytes:
        from smpclient.requests.file_management import FileUpload

        room = self._link.room(FileUpload(name=self.path(name), off=done, data=b"", len=size if done == 0 else None))
        content.seek(done)
        data = content.read(max(1, min(room, self._most, size - done)))
        if not data:
            raise BundleError(f"what is to be written to {name} ends too early", remedy="pack the bundle again")
        return data

    def _write(self, name: str, chunk: bytes, done: int, size: int) -> int:
        from smpclient.requests.file_management import FileUpload

        request = FileUpload(name=self.path(name), off=done, data=chunk, len=size if done == 0 else None)
        return int(self._link.ask(request, attempts=1).off)

    def _where(self, name: str, done: int, sent: int) -> int:
        """Where to go on after an answer that did not come: the device may have written the chunk or not."""
        self.close()
        there = self.length(name)
        if there is None or done == 0 or there > done + sent:
            return 0
        return there


def is_no_space(error: LadingError) -> bool:
    """Whether a refusal to write is what a full file system gives."""
    return isinstance(error, SmpRefused) and error.reason in ("FILE_WRITE_FAILED", "ENOMEM")
