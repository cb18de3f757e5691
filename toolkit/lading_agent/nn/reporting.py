"""What a runner says while it runs: report lines, the phase byte, the interpreter's own messages, figures."""

from __future__ import annotations

import json
import mmap
import os
import sys
import tempfile
import time
from array import array
from typing import Any, Dict, List, Optional

from lading_agent.runs.report import PHASES

MOST_LOG_LINES = 1000
MOST_SAMPLES = 65536

PHASE: Dict[str, int] = {name: i for i, name in enumerate(PHASES)}


class Report:
    """Writes report lines to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines = 0

    def event(self, name: str, **fields: Any) -> None:
        """One line. A reader that went away is no reason to fail: the run ends by itself or is killed."""
        data = memoryview(json.dumps({"event": name, **fields}, separators=(",", ":")).encode() + b"\n")
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except OSError:
                return

    def log(self, level: str, text: str) -> None:
        """A line of the host's log; after a thousand only a last word, so that a guest cannot flood anybody."""
        self._lines += 1
        if self._lines < MOST_LOG_LINES:
            self.event("log", level=level, text=text[:2000])
        elif self._lines == MOST_LOG_LINES:
            self.event("log", level="warning", text="more log lines follow; they are left out")


class Phase:
    """The byte that tells whoever kills a runner what it was doing."""

    def __init__(self, fd: Optional[int]) -> None:
        self.cell: Any = bytearray(1)
        if fd is not None:
            if os.fstat(fd).st_size < 1:
                os.ftruncate(fd, 1)
            self.cell = mmap.mmap(fd, 1)

    def set(self, name: str) -> None:
        """Enter a phase."""
        self.cell[0] = PHASE[name]


class InterpreterLog:
    """Takes what the interpreter writes to standard error out of the guest's way.

    Descriptor 2 points to a file from now on (``fd``, or an anonymous one); ``guest_fd`` is where the guest's standard
    error goes.
    """

    def __init__(self, report: Report, fd: Optional[int] = None) -> None:
        self._report = report
        self.guest_fd = os.dup(2)
        if fd is None:
            with tempfile.TemporaryFile(buffering=0) as file:
                fd = os.dup(file.fileno())
        sys.stderr.flush()
        os.dup2(fd, 2)
        self._fd = fd
        self._offset = os.lseek(fd, 0, os.SEEK_END)

    def drain(self) -> None:
        """Hand new lines to the report."""
        size = os.fstat(self._fd).st_size
        if size <= self._offset:
            return
        text = os.pread(self._fd, min(size - self._offset, 65536), self._offset).decode("utf-8", "replace")
        self._offset = size
        for line in text.splitlines():
            word, _, rest = line.partition(": ")
            level = {"ERROR": "error", "WARNING": "warning", "INFO": "info"}.get(word, "")
            if line.strip():
                self._report.log(level or "info", rest if level else line)


class Figures:
    """Times and counts of one run."""

    def __init__(self) -> None:
        self.load_ns = 0
        self.init_ns = 0
        self.first_ns = -1
        self.calls = 0
        self.inferences = 0
        self.samples = array("q")

    def inference(self, ns: int) -> None:
        """One run of a model."""
        if self.inferences == 0:
            self.first_ns = ns
        elif len(self.samples) < MOST_SAMPLES:
            self.samples.append(ns)
        else:
            self.samples[self.inferences % MOST_SAMPLES] = ns
        self.inferences += 1

    def to_json(self, runtime: str) -> Dict[str, Any]:
        """The fields of a ``metric`` event; times in milliseconds, ``None`` where there was nothing to time."""
        steady: List[int] = sorted(self.samples) or ([self.first_ns] if self.inferences else [])
        return {
            "load_ms": self.load_ns / 1e6,
            "init_ms": self.init_ns / 1e6,
            "first_ms": self.first_ns / 1e6 if self.inferences else None,
            "median_ms": steady[len(steady) // 2] / 1e6 if steady else None,
            "p95_ms": steady[min(len(steady) - 1, len(steady) * 95 // 100)] / 1e6 if steady else None,
            "inferences": self.inferences,
            "calls": self.calls,
            "peak_memory_bytes": peak_memory_bytes(),
            "code": "off",
            "runtime": runtime,
        }


now_ns = time.perf_counter_ns


def peak_memory_bytes() -> Optional[int]:
    """The most memory that this process held at once; None where the system does not say.

    ``ru_maxrss`` outlives fork and exec and would tell the parent's peak; ``VmHWM`` is the process's own.
    """
    try:
        with open("/proc/self/status", "rb") as file:  # noqa: PTH123  (pathlib would be one import more at start)
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None
