"""A program of tests that prints its TCP port and serves a terminal on it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def serving(module: str, *words: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run ``tests.support.MODULE``; its port and its process."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.support.{module}", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()
