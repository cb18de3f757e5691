"""Standard streams that verbs can rely on, and text that cannot command a terminal."""

from __future__ import annotations

import io
import os
import sys
from typing import Literal, TextIO


def prepare() -> None:
    """Open what is closed to nothing, and let no character be a reason to fail.

    A closed descriptor would be given to the next file that is opened: a guest's output would land in it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
    sys.stdin = sys.stdin or _text(0, "r")
    sys.stdout = sys.stdout or _text(1, "w")
    sys.stderr = sys.stderr or _text(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _text(number: int, mode: Literal["r", "w"]) -> TextIO:
    return os.fdopen(number, mode, encoding="utf-8", closefd=False)


def abandon(stream: TextIO) -> None:
    """Nobody takes what this stream writes: its end must not say so a second time."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


def visible(text: str, *, keep: str = "") -> str:
    """The text with every character that is not printed, such as a terminal's escape, written as an escape itself.

    Args:
        text: it may come from a guest, a model or a device.
        keep: characters that stay all the same: line ends, where the text may have several lines.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
