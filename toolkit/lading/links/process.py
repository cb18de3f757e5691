"""A link to an agent that runs as a child process: its standard input and output."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Final

from lading.errors import DeviceUnreachable
from lading.links.secrets import clean_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMPLAINT_KEPT: Final = 8192
PIPE_BYTES: Final = 1024 * 1024
END_PATIENCE_S: Final = 40.0
"""How long an agent may take to end when its input ended: it stops what is under way first."""


class ProcessLink:
    """Starts a program and speaks with it.

    Args:
        command: the program and its arguments.
        description: where the link leads, for messages.
        env: its environment; None for ours, without the secrets in it.

    Raises:
        DeviceUnreachable: it cannot be started.
    """

    def __init__(self, command: Sequence[str], description: str, env: Mapping[str, str] | None = None) -> None:
        self._description = description
        self._complaint = bytearray()
        self._closed = False
        try:
            # A session of its own: Ctrl-C is for us, and we tell the agent.
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                env=clean_environment() if env is None else env,
            )
        except OSError as error:
            raise DeviceUnreachable(
                f"{description}: {command[0]} cannot be started: {error.strerror}",
                remedy="install lading again on this computer",
            ) from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        self._err = self._process.stderr.fileno()
        for fd in (self._in, self._out):
            widen(fd)
        self._listener = threading.Thread(target=self._listen, name="agent-stderr", daemon=True)
        self._listener.start()

    @property
    def description(self) -> str:
        """Where it leads, for messages."""
        return self._description

    @property
    def pid(self) -> int:
        """The agent's process id."""
        return self._process.pid

    def read(self, limit: int) -> bytes:
        """1 to ``limit`` bytes as soon as there are any; none at the end of the stream."""
        return os.read(self._out, limit)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        view = memoryview(data)
        while view:
            if self._closed:
                raise BrokenPipeError(32, "the link is closed")
            view = view[os.write(self._in, view) :]

    def pour(self, fd: int, offset: int, count: int) -> None:
        """Send a part of a file; see :class:`lading.links.base.Pouring`."""
        if self._closed:
            raise BrokenPipeError(32, "the link is closed")
        pour(self._in, fd, offset, count)

    def complaint(self) -> str:
        """The end of the program's standard error."""
        if self._process.poll() is not None:
            self._listener.join(1.0)
        return bytes(self._complaint).decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the program's input and wait for its end."""
        if self._closed:
            return
        self._closed = True
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join(1.0)
        with contextlib.suppress(OSError):
            self._process.stdout.close()
        with contextlib.suppress(OSError):
            self._process.stderr.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._err, 4096):
                self._complaint += data
                del self._complaint[:-COMPLAINT_KEPT]


def pour(pipe: int, fd: int, offset: int, count: int) -> None:
    """Move a part of a file into a pipe: its pages, where the system can do that, else by reading and writing.

    Raises:
        EOFError: the file ends before.
        OSError: nobody reads the pipe any more, or the file cannot be read.
    """
    end = offset + count
    splice = getattr(os, "splice", None)
    while splice is not None and offset < end:
        try:
            moved = splice(fd, pipe, end - offset, offset_src=offset)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            break  # not with this file system
        if not moved:
            raise EOFError
        offset += moved
    while offset < end:
        view = memoryview(os.pread(fd, min(end - offset, PIPE_BYTES), offset))
        if not view:
            raise EOFError
        offset += len(view)
        while view:
            view = view[os.write(pipe, view) :]


def widen(fd: int) -> None:
    """A wider pipe moves large blobs with fewer switches between the two processes; without one it works as well."""
    import fcntl

    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
