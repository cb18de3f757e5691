"""Output of a guest that nobody watches: kept in a few files of bounded size, written in batches.

A log is a sequence of records: one byte that says which stream (1 standard output, 2 standard error, 3 the host's own
words), four bytes of length, big-endian, and the bytes. It is cut into files named after the place in the whole
sequence at which each begins; the oldest goes when a new one begins. Cards wear by being written: what comes is held
back for a moment and written together, and nothing is synced.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Tuple

from lading_agent.store.durable import make_dirs

if TYPE_CHECKING:
    from pathlib import Path

FILE_BYTES = 1024 * 1024
FILES = 2
BATCH_BYTES = 32 * 1024
BATCH_S = 0.5
PIECE = 16 * 1024
"""Octets of one record at most."""
READ = 256 * 1024

STDOUT, STDERR, HOST = 1, 2, 3

_HEAD = struct.Struct(">BI")
_NAME = re.compile(r"log\.(\d{1,18})")

Record = Tuple[int, bytes]


class LogWriter:
    """Writes the log in a folder, and goes on with the one that is there.

    Args:
        folder: made if it is missing.
        file_bytes: how large one file may be.
        files: how many stay.

    A full disk loses output, says how much once there is room again, and never ends a run.
    """

    def __init__(self, folder: Path, *, file_bytes: int = FILE_BYTES, files: int = FILES) -> None:
        self._folder = folder
        self._file_bytes = file_bytes
        self._files = files
        self._piece = min(PIECE, max(1, file_bytes // 4))
        self._pending: List[bytes] = []
        self._pending_bytes = 0
        self._lost = 0
        self._fd = -1
        self._start = self._size = 0
        self._changed = threading.Condition()
        self._closed = False
        with contextlib.suppress(OSError):
            make_dirs(folder)
            self._go_on()
        self._thread = threading.Thread(target=self._flush_in_time, name="log", daemon=True)
        self._thread.start()

    def write(self, stream: int, data: bytes) -> None:
        """Take bytes of a stream."""
        with self._changed:
            for at in range(0, len(data), self._piece):
                piece = data[at : at + self._piece]
                self._pending.append(_HEAD.pack(stream, len(piece)) + piece)
                self._pending_bytes += len(piece) + _HEAD.size
                if self._pending_bytes >= min(BATCH_BYTES, self._file_bytes // 2):
                    self._flush()
            self._changed.notify()

    def say(self, text: str) -> None:
        """A line of the host's own."""
        self.write(HOST, text.encode("utf-8", "replace") + b"\n")

    def flush(self) -> None:
        """Write what is held back."""
        with self._changed:
            self._flush()

    def close(self) -> None:
        """Write the rest and let go."""
        with self._changed:
            self._closed = True
            self._flush()
            self._changed.notify()
        self._thread.join()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _flush_in_time(self) -> None:
        with self._changed:
            while not self._closed:
                self._changed.wait()
                if self._pending and not self._closed:
                    self._changed.wait_for(lambda: self._closed, BATCH_S)
                    self._flush()

    def _go_on(self) -> None:
        """Open the newest file behind its last whole record, or a first one."""
        found = _files(self._folder)
        self._start = found[-1].start if found else 0
        self._fd = self._open(self._start)
        data = os.pread(self._fd, self._file_bytes + BATCH_BYTES + PIECE, 0)
        self._size = _whole(data)[1]
        os.ftruncate(self._fd, self._size)

    def _open(self, start: int) -> int:
        path = self._folder / f"log.{start}"
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _flush(self) -> None:
        records, self._pending, self._pending_bytes = self._pending, [], 0
        if not records:
            return
        if self._lost:
            text = f"{self._lost} bytes of output were lost here: there was no room for them\n".encode()
            records.insert(0, _HEAD.pack(HOST, len(text)) + text)
        done = 0
        try:
            self._make_room(sum(map(len, records)))
            data = memoryview(b"".join(records))
            while done < len(data):
                done += os.write(self._fd, data[done:])
        except OSError:
            self._drop(records, done)
        else:
            self._lost = 0
            self._size += done

    def _drop(self, records: List[bytes], done: int) -> None:
        """Keep the records that were written whole, so that a reader in the middle of them stays right."""
        whole = 0
        for number, record in enumerate(records):
            if whole + len(record) > done:
                first_is_note = self._lost > 0 and number == 0
                self._lost += sum(len(lost) - _HEAD.size for lost in records[number + first_is_note :])
                break
            if number == 0:
                self._lost = 0
            whole += len(record)
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size + whole)
            self._size += whole

    def _make_room(self, coming: int) -> None:
        if self._fd < 0:
            make_dirs(self._folder)
            self._go_on()
        if self._size and self._size + coming > self._file_bytes:
            start = self._start + self._size
            fd = self._open(start)
            os.close(self._fd)
            self._fd, self._start, self._size = fd, start, 0
        for old in _files(self._folder)[: -self._files]:
            with contextlib.suppress(FileNotFoundError):
                (self._folder / f"log.{old.start}").unlink()


class LogReader:
    """Reads the log in a folder, while it may be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.offset = 0
        """The place in the whole sequence up to which it was read."""

    def read(self) -> Tuple[List[Record], int]:
        """The next records, and how many octets of the log are gone before them; none at the end."""
        for _ in range(10):
            found = _files(self._folder)
            if not found:
                return [], 0
            lost = max(0, found[0].start - self.offset)
            at = self.offset + lost
            holding = [file for file in found if file.start <= at]
            last = holding[-1]
            following = [file for file in found if file.start > at]
            try:
                fd = os.open(self._folder / f"log.{last.start}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue  # the oldest went meanwhile
            try:
                data = os.pread(fd, READ, at - last.start)
            finally:
                os.close(fd)
            records, used = _whole(data)
            if used or not following:
                self.offset = at + used
                return records, lost
            self.offset = following[0].start  # nothing whole is left here: a crash tore the last record
        return [], 0

    def last_lines(self, count: Optional[int]) -> List[Record]:
        """Everything that is there, or its last ``count`` lines; reading goes on behind them."""
        records: List[Record] = []
        while True:
            more, _ = self.read()
            if not more:
                break
            records += more
        return records if count is None else _last_lines(records, count)


class _File(NamedTuple):
    start: int


def _files(folder: Path) -> List[_File]:
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError:
        return []
    return sorted(_File(int(match.group(1))) for match in map(_NAME.fullmatch, names) if match)


def _whole(data: bytes) -> Tuple[List[Record], int]:
    """The whole records at the beginning of ``data``, and how many octets they take."""
    records: List[Record] = []
    at = 0
    while at + _HEAD.size <= len(data):
        stream, size = _HEAD.unpack_from(data, at)
        if at + _HEAD.size + size > len(data):
            break
        records.append((stream, data[at + _HEAD.size : at + _HEAD.size + size]))
        at += _HEAD.size + size
    return records, at


def _last_lines(records: List[Record], count: int) -> List[Record]:
    """The last lines of all streams together, in their order."""
    if not records or count <= 0:
        return []
    # Behind which line end, counted from the back, the first of them begins.
    ends = count + 1 if records[-1][1].endswith(b"\n") else count
    kept: List[Record] = []
    for stream, data in reversed(records):
        found = data.count(b"\n")
        if found >= ends:
            rest = data.split(b"\n", found - ends + 1)[-1]
            return [(stream, rest), *kept] if rest else kept
        ends -= found
        kept.insert(0, (stream, data))
    return kept
