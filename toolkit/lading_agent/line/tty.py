"""Terminals as ports of a line: raw while the line is in use, afterwards as they were."""

from __future__ import annotations

import contextlib
import os
import select
import termios
from typing import Any, Iterator, List

BAUD_RATES = {int(name[1:]): getattr(termios, name) for name in dir(termios) if name[:1] == "B" and name[1:].isdigit()}
"""Baud rates that this system knows, by number."""


class DescriptorPort:
    """A :class:`~lading_agent.line.stream.Port` over two descriptors, which stay the caller's."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing

    def read(self, limit: int, timeout_s: float) -> bytes:
        """1 to ``limit`` bytes; none when the time is over."""
        if not select.select([self._reading], [], [], timeout_s)[0]:
            return b""
        data = os.read(self._reading, limit)
        if not data:
            raise OSError(5, "the terminal was hung up")
        return data

    def write(self, data: bytes) -> None:
        """Hand over all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._writing, view) :]


@contextlib.contextmanager
def raw(fd: int) -> Iterator[None]:
    """A terminal that passes every byte as it is, both ways; what it was before it becomes again.

    Raises:
        OSError, termios.error: it is no terminal.
    """
    before = termios.tcgetattr(fd)
    after = raw_mode(before)
    termios.tcsetattr(fd, termios.TCSADRAIN, after)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)


def set_speed(fd: int, baud: int) -> None:
    """Change a terminal's speed once what was written to it is out.

    Raises:
        OSError, termios.error: it is no terminal, or does not do that speed.
        ValueError: a speed that this system does not know.
    """
    if baud not in BAUD_RATES:
        raise ValueError(f"{baud} baud is no speed of this terminal")
    attributes = termios.tcgetattr(fd)
    attributes[4] = attributes[5] = BAUD_RATES[baud]
    termios.tcsetattr(fd, termios.TCSADRAIN, attributes)


def raw_mode(attributes: List[Any]) -> List[Any]:
    """``tcgetattr``'s answer, changed so that nothing is translated, echoed or kept back."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = attributes
    iflag &= ~(
        termios.BRKINT | termios.ICRNL | termios.IGNCR | termios.INLCR | termios.INPCK | termios.ISTRIP | termios.PARMRK
    )
    iflag &= ~(termios.IXON | termios.IXOFF | termios.IXANY)
    iflag |= termios.IGNBRK
    oflag &= ~termios.OPOST
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
    cc = list(cc)
    cc[termios.VMIN], cc[termios.VTIME] = 1, 0
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, cc]
