"""Ends the boards of tests whose process is gone, however it went: a board outlives the command that brought it up.

A process of its own reads the folders of boards from a pipe. At the pipe's end, which is the end of whoever holds it,
it ends what plays a board in one of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from lading.boards.state import MARK

if TYPE_CHECKING:
    from pathlib import Path

_WATCH = """\
import os, signal, sys
folders = [line.rstrip(b"\\n") for line in sys.stdin.buffer]
marks = [sys.argv[1].encode() + b"=" + folder + b"/" for folder in folders]
for name in os.listdir("/proc"):
    if name.isdigit():
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                words = file.read().split(b"\\0")
            if any(word.startswith(mark) for word in words for mark in marks):
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            pass
"""
_pipes: list[int] = []


def watch(folder: Path) -> None:
    """Have the boards whose state lies within ``folder`` end with this process."""
    if not _pipes:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WATCH, MARK],
            stdin=reading,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        os.close(reading)
        process.returncode = 0  # it outlives us: nobody waits for it
        _pipes.append(writing)
    os.write(_pipes[0], os.fsencode(folder) + b"\n")
