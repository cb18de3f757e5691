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
