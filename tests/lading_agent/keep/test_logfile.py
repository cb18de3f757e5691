"""A log of bounded size: nothing is lost that fits, and what is lost is said."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from lading_agent.keep.logfile import HOST, STDERR, STDOUT, LogReader, LogWriter

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from lading_agent.keep.logfile import Record


def joined(records: list[Record], stream: int) -> bytes:
    return b"".join(data for found, data in records if found == stream)


def everything(folder: Path) -> list[Record]:
    return LogReader(folder).last_lines(None)


@given(st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=400)), max_size=30))
def test_bytes_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, written: list[Record]) -> None:
    folder = tmp_path_factory.mktemp("log")
    log = LogWriter(folder)
    for stream, data in written:
        log.write(stream, data)
    log.close()
    for stream in (STDOUT, STDERR):
        assert joined(everything(folder), stream) == joined(written, stream)


def test_a_log_stays_within_its_bounds_and_keeps_its_end(tmp_path: Path) -> None:
    log = LogWriter(tmp_path, file_bytes=4096, files=2)
    for number in range(5000):
        log.write(STDOUT, b"%d\n" % number)
        if number % 100 == 0:
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * 4096
    log.close()
    assert len(list(tmp_path.iterdir())) == 2
    lines = joined(everything(tmp_path), STDOUT).split()
    assert lines == [b"%d" % number for number in range(5000 - len(lines), 5000)]
    assert len(lines) > 300


def test_a_follower_that_is_left_behind_is_told_how_much_it_missed(tmp_path: Path) -> None:
    log = LogWriter(tmp_path, file_bytes=4096, files=2)
    reader = LogReader(tmp_path)
    log.write(STDOUT, b"first")
    log.flush()
    assert reader.read() == ([(STDOUT, b"first")], 0)
    for _ in range(40):
        log.write(STDOUT, b"x" * 500)
    log.close()
    records, lost = reader.read()
    assert lost > 0
    seen = len(joined(records, STDOUT))
    while records:
        records, more = reader.read()
        assert more == 0
        seen += len(joined(records, STDOUT))
    assert lost + seen + 5 * (seen // 500) == 40 * 505


def test_a_follower_reads_on_through_rotation(tmp_path: Path) -> None:
    log = LogWriter(tmp_path, file_bytes=4096, files=2)
    reader = LogReader(tmp_path)
    got = b""
    for number in range(2000):
        log.write(STDOUT, b"%d " % number)
        log.flush()
        records, lost = reader.read()
        assert lost == 0
        got += joined(records, STDOUT)
    log.close()
    assert got.split() == [b"%d" % number for number in range(2000)]


def test_a_writer_goes_on_behind_what_a_crash_tore(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    log.write(STDOUT, b"whole")
    log.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b"\x01\x00\x00\x01\x00half")
    again = LogWriter(tmp_path)
    again.write(STDERR, b"after")
    again.close()
    assert everything(tmp_path) == [(STDOUT, b"whole"), (STDERR, b"after")]


def test_a_full_disk_loses_output_and_says_how_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = LogWriter(tmp_path)
    log.write(STDOUT, b"before")
    log.flush()
    real, room = os.write, [3]

    def write(fd: int, data: Any) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken, room[0] = data[: room[0]], 0
        return real(fd, taken)

    monkeypatch.setattr(os, "write", write)
    log.write(STDOUT, b"lost")
    log.flush()
    log.write(STDOUT, b"as well")
    log.flush()
    monkeypatch.undo()
    log.write(STDOUT, b"after")
    log.close()
    records = everything(tmp_path)
    assert joined(records, STDOUT) == b"beforeafter"
    assert b"11 bytes of output were lost here" in joined(records, HOST)


def test_the_last_lines_of_all_streams_together(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    log.write(STDOUT, b"one\ntwo\n")
    log.write(STDERR, b"three\n")
    log.write(STDOUT, b"four\nfi")
    log.write(STDOUT, b"ve")
    log.close()

    def last(count: int) -> list[Record]:
        return LogReader(tmp_path).last_lines(count)

    assert last(0) == []
    assert last(1) == [(STDOUT, b"fi"), (STDOUT, b"ve")]
    assert last(2) == [(STDOUT, b"four\nfi"), (STDOUT, b"ve")]
    assert last(3) == [(STDERR, b"three\n"), (STDOUT, b"four\nfi"), (STDOUT, b"ve")]
    assert last(4)[0] == (STDOUT, b"two\n")
    assert last(99) == everything(tmp_path)


def test_lines_that_end_with_a_line_end(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    log.write(STDOUT, b"one\ntwo\n")
    log.close()
    assert LogReader(tmp_path).last_lines(1) == [(STDOUT, b"two\n")]
    assert LogReader(tmp_path).last_lines(2) == [(STDOUT, b"one\ntwo\n")]
    assert LogReader(tmp_path / "none").last_lines(2) == []
