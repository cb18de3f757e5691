"""A program on a terminal of its own."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def on_a_terminal(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> bytes:
    """Run a program whose three streams are a terminal; everything that it showed there."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(env), cwd=cwd)
    finally:
        os.close(theirs)
    shown = bytearray()
    try:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # the other end is closed: Linux says EIO
                break
            if not data:
                break
            shown += data
    finally:
        os.close(ours)
        process.wait(60)
    return bytes(shown)


def answering(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, answers: Sequence[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """Run a program whose terminal is its own, and type.

    Args:
        command: the program.
        env: its environment.
        cwd: its folder.
        answers: what is typed once something was shown, in this order.

    Returns:
        Its exit status, and everything that it showed.
    """
    pid, ours = pty.fork()
    if pid == 0:
        try:
            os.chdir(cwd)
            os.execve(command[0], list(command), dict(env))
        finally:
            os._exit(127)
    shown = bytearray()
    left = list(answers)
    read = 0
    try:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
            if left and left[0][0] in shown[read:]:
                read = len(shown)
                os.write(ours, left.pop(0)[1])
    finally:
        os.close(ours)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), bytes(shown)
