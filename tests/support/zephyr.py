"""Zephyr as a program of this machine (``native_sim``) with an SMP server: started, killed, started again."""

from __future__ import annotations

import fcntl
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
LOADER = Path("/lib/ld-linux.so.2")
_PTY = re.compile(rb"connected to pseudotty: (\S+)")


def programs() -> Path:
    """The folder with the programs; the test is skipped where they cannot be had or run, and fails in CI."""
    folder = Path(os.environ.get("LADING_ZEPHYR_SIMS") or ROOT / "build" / "zephyr")
    if platform.machine() != "x86_64":
        pytest.skip("Zephyr's native_sim is an x86 program")
    if not LOADER.exists():
        _without("Zephyr's native_sim is a 32-bit x86 program: install libc6-i386 (or libc6:i386)")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, ROOT / "scripts" / "zephyr-sims", folder], capture_output=True, text=True, check=False
        )
    if done.returncode:
        _without(done.stderr.strip())
    return folder


def _without(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


class Zephyr:
    """One board. Its flash is a file, which outlives it.

    Args:
        kind: which build: ``serial_fs``, ``serial``, ``shell``, ``udp`` …
        folder: where the flash file lies.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self._program = programs() / kind
        self._udp = kind == "udp"
        self._files = kind in ("serial", "serial_fs", "udp")
        self._flash = folder / f"{kind}.flash"
        self._link = folder / f"{kind}.tty"
        self._process: subprocess.Popen[bytes] | None = None
        self._drain: threading.Thread | None = None
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def port(self) -> Path:
        """Its serial port, by a name that stays when the board is started again."""
        return self._link

    @property
    def address(self) -> str:
        return "udp+smp://127.0.0.1" if self._udp else f"serial+smp://{self._link}"

    def start(self) -> None:
        words = [str(self._program), "-rt", *([f"-flash={self._flash}"] if self._files else [])]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self._process = process
        assert process.stdout is not None
        for line in process.stdout:
            found = _PTY.search(line)
            if found and not self._udp:
                self._link.unlink(missing_ok=True)
                self._link.symlink_to(found[1].decode())
                break
            if b"smp_udp: Started" in line:
                break
            if b"Could not bind" in line:
                self.kill()
                _without("UDP port 1337 of this machine is in use")
        else:
            self.kill()
            pytest.fail(f"{self._program} ended at its start")
        self._drain = threading.Thread(target=_drain, args=(process.stdout,), daemon=True)
        self._drain.start()

    def kill(self) -> None:
        """Power off, at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            if self._drain is not None:
                self._drain.join()
            elif self._process.stdout is not None:
                self._process.stdout.close()
            self._process = self._drain = None

    def reset(self) -> None:
        self.kill()
        self.start()


def _drain(stream: Any) -> None:
    with stream:
        while stream.read1(4096):
            pass


@contextmanager
def udp_board(folder: Path) -> Iterator[Zephyr]:
    """A board on UDP. Its port is fixed: one at a time on this machine."""
    with (programs() / ".udp").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Zephyr("udp", folder) as board:
            yield board
