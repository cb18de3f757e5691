"""Files go into pipes whole, however the system moves them."""

from __future__ import annotations

import errno
import os
import threading
from typing import TYPE_CHECKING

import pytest

from lading.links.process import pour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 700_001


@pytest.fixture
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Iterator[int]:
    (tmp_path / "file").write_bytes(content)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture(params=["moved", "refused", "refused later", "unknown"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the system takes it: pages are moved, or it cannot do that with this file, or at all."""
    splice, calls = os.splice, []

    def refuse(*args: int, **more: int) -> int:
        calls.append(args)
        if request.param == "refused later" and len(calls) == 1:
            return splice(args[0], args[1], 1000, **more)
        raise OSError(errno.EINVAL, "not with this file")

    if request.param == "unknown":
        monkeypatch.delattr(os, "splice")
    elif request.param != "moved":
        monkeypatch.setattr(os, "splice", refuse)
    return str(request.param)


def drained(fd: int) -> tuple[threading.Thread, bytearray]:
    """Somebody who reads a pipe to its end."""
    came = bytearray()

    def read() -> None:
        while data := os.read(fd, 65536):
            came.extend(data)
        os.close(fd)

    reader = threading.Thread(target=read)
    reader.start()
    return reader, came


@pytest.mark.parametrize(("offset", "count"), [(0, SIZE), (1, SIZE - 1), (4097, 300_000), (SIZE - 1, 1), (5, 0)])
@pytest.mark.usefixtures("way")
def test_what_is_asked_for_arrives(file: int, content: bytes, offset: int, count: int) -> None:
    reading, writing = os.pipe()
    reader, came = drained(reading)
    pour(writing, file, offset, count)
    os.close(writing)
    reader.join()
    assert came == content[offset : offset + count]


@pytest.mark.usefixtures("way")
def test_a_file_that_is_shorter_than_it_was_is_noticed(file: int) -> None:
    reading, writing = os.pipe()
    reader, _ = drained(reading)
    with pytest.raises(EOFError):
        pour(writing, file, 100, SIZE)
    os.close(writing)
    reader.join()


@pytest.mark.usefixtures("way")
def test_a_pipe_that_nobody_reads_is_an_error(file: int) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        pour(writing, file, 0, SIZE)
    os.close(writing)
