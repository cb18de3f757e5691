"""Content by digest: what is there, what is on its way, and how it arrives."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from lading_agent.errors import AgentError
from lading_agent.store.durable import make_way, sync_dir, sync_files

if TYPE_CHECKING:
    from lading_agent.store.layout import Layout
    from lading_agent.store.steps import Steps

CHUNK = 1024 * 1024
FLUSH_EVERY = 16 * 1024 * 1024
"""A large blob is written back while it still arrives, so that the sync at its end finds little to do."""
SMALL = 1024 * 1024
"""Blobs up to this size are synced together: the journal is written once for many, not once for each."""
AT_ONCE = 200
"""How many at most, and so many files are open meanwhile."""


class BadContent(Exception):
    """What arrived does not have the digest that it was sent under."""

    def __init__(self, digest: str, resumed: bool) -> None:
        super().__init__(digest)
        self.digest = digest
        self.resumed = resumed
        """Whether older bytes of the device were part of it: then those may be to blame."""


def has_blob(layout: Layout, digest: str, size: int) -> bool:
    """Whether that content is there, judged by its size: a blob gets its name only when it is whole and synced."""
    try:
        info = layout.blob(digest).lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(info.st_mode) and info.st_size == size


def is_intact(layout: Layout, digest: str) -> bool:
    """Whether that content still has its digest: reads all of it."""
    try:
        with layout.blob(digest).open("rb") as file:
            hasher = hashlib.sha256()
            for chunk in iter(lambda: file.read(CHUNK), b""):
                hasher.update(chunk)
    except OSError:  # missing, or a medium that gives it back no more
        return False
    return f"sha256:{hasher.hexdigest()}" == digest


def missing(layout: Layout, wanted: Mapping[str, int], *, distrust: bool = False) -> List[Tuple[str, int, int]]:
    """What has to be sent: digest, size, and the offset from which on.

    Args:
        layout: the store's paths.
        wanted: digest and size of what is needed.
        distrust: read what is there, and ask again for what is damaged.
    """
    found: List[Tuple[str, int, int]] = []
    for digest, size in wanted.items():
        if not has_blob(layout, digest, size) or (distrust and not is_intact(layout, digest)):
            found.append((digest, size, part_offset(layout, digest, size)))
    return found


def part_offset(layout: Layout, digest: str, size: int) -> int:
    """How much of a blob arrived before."""
    try:
        there = layout.part(digest).lstat().st_size
    except FileNotFoundError:
        return 0
    return there if there <= size else 0


def _open_part(path: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        os.chmod(path, 0o644)  # noqa: PTH101  a whole one that did not get its name any more is read-only
        return os.open(path, flags)


def _resume(fd: int, size: int, offset: int) -> Any:
    """The hash of what is there, which ends at ``offset`` from now on."""
    there = os.fstat(fd).st_size
    if there == offset == 0:
        return hashlib.sha256()
    if not 0 <= offset <= min(there, size):
        raise AgentError("usage", f"a blob cannot go on at {offset}: {there} bytes are here", "deploy again")
    os.ftruncate(fd, offset)
    hasher = hashlib.sha256()
    for chunk in iter(lambda: os.read(fd, CHUNK), b""):
        hasher.update(chunk)
    return hasher


class Receiver:
    """Takes the content of several blobs, one after the other, and makes it durable all at once.

    Each blob is hashed as it arrives. A thread of its own syncs: disk and link work at the same time. None gets its
    name before it is synced.
    """

    def __init__(self, layout: Layout, steps: Steps) -> None:
        self._layout = layout
        self._steps = steps
        self._digest = ""
        self._size = 0
        self._fd = -1
        self._at = 0
        self._start = 0
        self._flushed = 0
        self._hasher = hashlib.sha256()
        self._whole: Dict[str, int] = {}
        self._small: List[int] = []
        self._queue: Queue[Optional[Tuple[List[int], bool]]] = Queue(maxsize=64)
        self._failure: Optional[BaseException] = None
        self._syncer: Optional[threading.Thread] = None

    @property
    def remaining(self) -> int:
        """Octets that the blob at hand still lacks."""
        return self._size - self._at if self._fd >= 0 else 0

    def begin(self, digest: str, size: int, offset: int) -> None:
        """Open a blob's part file, to go on at ``offset``."""
        self._steps.reach("stage")
        fd = _open_part(str(self._layout.part(digest)))
        try:
            self._hasher = _resume(fd, size, offset)
        except BaseException:
            os.close(fd)
            raise
        self._digest, self._size, self._fd = digest, size, fd
        self._at = self._start = self._flushed = offset
        if self._at == self._size:
            self._finish()

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the blob at hand.

        Raises:
            BadContent: the blob is complete and not what it should be; its part file is gone.
        """
        if len(data) > self.remaining:
            raise AgentError("bundle", "more bytes were sent than the bill says", "pack the bundle again")
        self._steps.reach("receive")
        view = memoryview(data)
        self._hasher.update(view)
        while view:
            view = view[os.write(self._fd, view) :]
        self._at += len(data)
        if self._at == self._size:
            self._finish()
        elif self._at - self._flushed >= FLUSH_EVERY:
            self._flushed = self._at
            self._sync([os.dup(self._fd)], whole=False)

    def _finish(self) -> None:
        fd, self._fd = self._fd, -1
        if f"sha256:{self._hasher.hexdigest()}" != self._digest:
            os.close(fd)
            with contextlib.suppress(FileNotFoundError):
                self._layout.part(self._digest).unlink()
            raise BadContent(self._digest, resumed=self._start > 0)
        self._whole[self._digest] = self._size
        if self._size > SMALL:
            self._sync([fd], whole=True)
            return
        self._small.append(fd)
        if len(self._small) == AT_ONCE:
            self._sync_small()

    def _sync_small(self) -> None:
        small, self._small = self._small, []
        if small:
            self._sync(small, whole=True)

    def _sync(self, fds: List[int], *, whole: bool) -> None:
        if self._syncer is None:
            self._syncer = threading.Thread(target=self._sync_all, name="blob-sync", daemon=True)
            self._syncer.start()
        self._queue.put((fds, whole))

    def _sync_all(self) -> None:
        for fds, whole in iter(self._queue.get, None):
            try:
                if self._failure is None:
                    self._sync_some(fds, whole=whole)
            except BaseException as error:  # noqa: BLE001  it is raised again by whoever waits for the syncs
                self._failure = error
            finally:
                for fd in fds:
                    os.close(fd)

    def _sync_some(self, fds: List[int], *, whole: bool) -> None:
        for fd in fds:
            if whole:
                self._steps.reach("blob-sync")
                os.fchmod(fd, 0o444)
        sync_files(fds)

    def _join(self) -> None:
        if self._syncer is not None:
            self._queue.put(None)
            self._syncer.join()
            self._syncer = None

    def commit(self) -> None:
        """Give every whole blob its name, durably."""
        self._sync_small()
        self._join()
        if self._failure is not None:
            raise self._failure
        for digest in self._whole:
            self._steps.reach("blob-rename")
            part, blob = str(self._layout.part(digest)), str(self._layout.blob(digest))
            try:
                os.rename(part, blob)  # noqa: PTH104  there may be many
            except IsADirectoryError:
                make_way(self._layout.blob(digest), self._layout.scratch())
                os.rename(part, blob)  # noqa: PTH104
        if self._whole:
            self._steps.reach("blobs-sync")
            sync_dir(self._layout.blobs)
            sync_dir(self._layout.staging)
        self._whole.clear()

    def close(self) -> None:
        """Let go of what is open; what arrived stays in the part files."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._sync_small()
        self._join()
