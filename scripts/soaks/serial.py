"""Pushes over a bad serial line: flipped bits, lost bytes, a FIFO that overruns; each ends with the right hash."""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.support.console import ConsoleDevice

PUSHES = 100
OCTETS = 64_000
AT_ONCE = 4
PATIENCE_S = 600
FAULTS = ("--bit-errors", "1e-5", "--lost", "0.001", "--fifo", "256", "--stall-every", "0.5", "--stall-for", "0.03")
HOME = Path(".local/share/lading")


def soak(part: int, parts: int) -> dict[str, Any]:
    """The figures; those that did not end well are named by their seeds."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        board = place / "board"
        clean = _device(board)
        try:
            _lading(place, "status", clean.address)
        finally:
            clean.close()
        seeds = range(PUSHES)[part::parts]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            done = list(pool.map(lambda seed: _push(place, board, seed, ("--baud", "115200")), seeds))
    seconds = [one["seconds"] for one in done if one["ok"]]
    return {
        "pushes": len(done),
        "bytes_each": OCTETS,
        "faults": " ".join(FAULTS),
        "right": len(seconds),
        "failed": [one for one in done if not one["ok"]],
        "failures": len(done) - len(seconds),
        "seconds_median": round(statistics.median(seconds), 1) if seconds else None,
        "seconds_longest": round(max(seconds), 1) if seconds else None,
        "bytes_per_s_median": round(OCTETS / statistics.median(seconds)) if seconds else None,
    }


def _device(home: Path, *line: str) -> ConsoleDevice:
    return ConsoleDevice(
        home,
        *line,
        command=("bash", "--norc", "-i"),
        PATH=f"{sys.base_prefix}/bin:{os.defpath}",
    )


def _lading(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lading")), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env={**os.environ, "XDG_STATE_HOME": str(place / "state")},
    )


def _push(place: Path, board: Path, seed: int, pace: tuple[str, ...]) -> dict[str, Any]:
    """One push of an app of random bytes; whether the device then holds just these."""
    home, app = place / f"board{seed}", place / f"app{seed}"
    shutil.copytree(board, home, symlinks=True)
    data = random.Random(seed).randbytes(OCTETS)
    (app / "data").mkdir(parents=True)
    (app / "data" / "random.bin").write_bytes(data)
    (app / "guest.wasm").write_bytes(b"\0asm\1\0\0\0")
    (app / "lading.toml").write_text(
        f'schema = 1\n[app]\nname = "soak"\nversion = "1.0.{seed}"\nmodule = "guest.wasm"\n'
        '[[dir]]\nhost = "data"\nguest = "/data"\n'
    )
    device = _device(home, *pace, *FAULTS, "--seed", str(seed))
    begin = time.monotonic()
    why = ""
    try:
        done = _lading(place, "push", str(app), device.address)
        why = "" if done.returncode == 0 else f"status {done.returncode}: {done.stderr[-300:]}"
    except subprocess.TimeoutExpired:
        why = f"it hung for {PATIENCE_S} s"
    finally:
        seconds = time.monotonic() - begin
        device.close()
    current = home / HOME / "apps" / "soak" / "current"
    if not why and next(current.rglob("random.bin")).read_bytes() != data:
        why = "other bytes arrived"
    shutil.rmtree(home)
    shutil.rmtree(app)
    return {"seed": seed, "ok": not why, "why": why, "seconds": round(seconds, 1)}
