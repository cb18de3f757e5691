"""Runs pytest as a user of lading's plugin does: in a process of its own, with a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 300


def run_pytest(
    folder: Path,
    *words: str | Path,
    home: Path,
    expect: int = 0,
    pythonpath: Path | None = None,
    ini: str = "",
    cache: str = "",
) -> str:
    """What pytest says about the tests in a folder.

    Args:
        folder: where it is started.
        words: its arguments.
        home: where the user's state and caches are.
        expect: its exit status: 1 failures, 2 interrupted, 4 wrong use.
        pythonpath: a folder that is looked into first.
        cache: where images and engines are, if not at home.
        ini: lines of ``pytest.ini``, which is written into the folder.
    """
    (folder / "pytest.ini").write_text(f"[pytest]\n{ini}\n")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    env = {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": cache or str(home / "cache"),
    }
    if pythonpath is not None:
        env["PYTHONPATH"] = str(pythonpath)
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", "-rs", *map(str, words)]
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert ran.returncode == expect, f"status {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
    return ran.stdout + ran.stderr
