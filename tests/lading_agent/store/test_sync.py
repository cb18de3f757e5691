"""Content is durable before it has its name, however many files are synced in one go."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading_agent.store import durable
from lading_agent.store.blobs import AT_ONCE, SMALL, Receiver
from lading_agent.store.layout import Layout
from lading_agent.store.steps import Steps

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.prepare()
    return made


class Disk:
    """Notes what is synced; what was not, a power cut would take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
        self.durable: set[int] = set()
        self.open: set[int] = set()
        self.broken = False
        self.whole = 0
        real_open, real_fsync, real_close = os.open, os.fsync, os.close

        def opened(*args: object, **more: object) -> int:
            fd = real_open(*args, **more)  # type: ignore[arg-type]
            self.open.add(fd)
            return fd

        def closed(fd: int) -> None:
            self.open.discard(fd)
            real_close(fd)

        def fsync(fd: int) -> None:
            if self.broken:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.durable.add(os.fstat(fd).st_ino)
            real_fsync(fd)

        def syncfs(fd: int) -> int:
            self.whole += 1
            if self.broken:
                return -1
            for fd in self.open.copy():  # another thread opens the next ones
                with contextlib.suppress(OSError):
                    self.durable.add(os.fstat(fd).st_ino)
            return 0

        def found() -> Callable[[int], int] | None:
            return syncfs if together else None

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "close", closed)
        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(durable, "_syncfs", found)
        monkeypatch.setattr(durable, "_errno", lambda: errno.EIO)


def send(receiver: Receiver, blobs: list[bytes]) -> list[str]:
    digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs]
    for digest, blob in zip(digests, blobs, strict=True):
        receiver.begin(digest, len(blob), 0)
        if blob:
            receiver.feed(blob)
    return digests


@pytest.mark.parametrize("count", [1, durable.MANY - 1, durable.MANY, AT_ONCE, 2 * AT_ONCE + 9])
@pytest.mark.parametrize("together", [True, False])
def test_no_blob_has_its_name_before_it_is_durable(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, count: int, together: bool
) -> None:
    disk = Disk(monkeypatch, together=together)
    real_rename = os.rename

    def rename(source: str, target: str) -> None:
        assert Path(source).stat().st_ino in disk.durable, "a name for what a power cut would take"
        real_rename(source, target)

    monkeypatch.setattr(os, "rename", rename)
    receiver = Receiver(layout, Steps())
    blobs = [number.to_bytes(4, "big") for number in range(count - 1)] + [bytes(SMALL + 1)]
    digests = send(receiver, blobs)
    receiver.commit()
    receiver.close()
    assert [layout.blob(digest).read_bytes() for digest in digests] == blobs
    assert all(layout.blob(digest).stat().st_mode & 0o777 == 0o444 for digest in digests)
    assert bool(disk.whole) == (together and count > durable.MANY)


@pytest.mark.parametrize("together", [True, False])
def test_what_cannot_be_made_durable_gets_no_name(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    disk = Disk(monkeypatch, together=together)
    disk.broken = True
    receiver = Receiver(layout, Steps())
    digests = send(receiver, [number.to_bytes(4, "big") for number in range(durable.MANY + 1)])
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        receiver.commit()
    receiver.close()
    assert not any(layout.blob(digest).exists() for digest in digests)
    assert all(layout.part(digest).exists() for digest in digests)


def test_the_real_thing_syncs(tmp_path: Path) -> None:
    fds = [os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT, 0o644) for number in range(durable.MANY)]
    for fd in fds:
        os.write(fd, b"x")
    durable.sync_files(fds)
    for fd in fds:
        os.close(fd)
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        durable.sync_files(fds)


@pytest.mark.parametrize(("release", "tells"), [("5.7.19", False), ("5.8.0-rpi", True), ("6.1.21", True), ("x", False)])
def test_an_old_kernel_that_keeps_errors_to_itself_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, release: str, tells: bool
) -> None:
    uname = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*uname[:2], release, *uname[3:])))
    durable._syncfs.cache_clear()
    assert (durable._syncfs() is not None) == tells
    durable._syncfs.cache_clear()
