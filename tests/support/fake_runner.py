"""A runner that hosts no guest: the "module" is a JSON object that says what to do. For tests of who starts runners.

Members: ``stdout``, ``stderr`` (text), ``status``, ``do`` (see :data:`DEEDS`), ``phase`` (index into ``PHASES``),
``report`` (lines for the report). It runs on Python 3.9 with nothing but the standard library.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def die_with_the_parent() -> None:
    """As every runner does: a test that kills the agent leaves nothing behind."""
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG


def main() -> None:
    options = dict(zip(sys.argv[1::2], map(int, sys.argv[2::2])))  # noqa: B905  Python 3.9
    die_with_the_parent()
    with os.fdopen(options["--spec"], "rb") as file:
        spec = json.loads(file.read())
    if spec["golden"]:
        golden(spec, options)
    module = json.loads(Path(spec["module"]).read_bytes()) if spec["module"] else {}
    os.pwrite(options["--phase"], bytes([module.get("phase", 1)]), 0)
    for line in module.get("report", ()):
        report(options, line)
    os.write(1, module.get("stdout", "").encode())
    os.write(2, module.get("stderr", "").encode())
    deed = module.get("do", "exit")
    DEEDS[deed](spec, options)
    status = module.get("status", 0)
    report(options, {"event": "end", "outcome": "exit", "status": status, "kind": "exit", "message": "", "remedy": ""})
    os._exit(status)


def report(options: dict[str, int], line: dict[str, Any]) -> None:
    os.write(options["--report"], json.dumps(line).encode() + b"\n")


def golden(spec: dict[str, Any], options: dict[str, int]) -> None:
    os.pwrite(options["--phase"], b"\x07", 0)
    contents = {model["name"]: Path(model["path"]).read_bytes() for model in spec["models"]}
    bad = False
    for index, vector in enumerate(spec["golden"]):
        wrong = contents[vector["model"]].startswith(b"bad")
        bad = bad or wrong
        mismatch = {"tensor": "y", "at": 1, "index": [0, 1], "expected": 3, "got": 9, "tolerance": 1, "unit": "steps"}
        report(
            options,
            {
                "event": "golden",
                "index": index,
                "model": vector["model"],
                "ok": not wrong,
                "compared": 4,
                "worst": 6 if wrong else 0,
                "mismatch": mismatch if wrong else None,
            },
        )
    kind, status = ("golden-mismatch", 1) if bad else ("exit", 0)
    outcome = "failed" if bad else "exit"
    report(options, {"event": "end", "outcome": outcome, "status": status, "kind": kind, "message": "", "remedy": ""})
    os._exit(status)


def _spin(*_: Any) -> None:
    while True:
        pass


def _flood(*_: Any) -> None:
    while True:
        os.write(1, b"x" * 65536)


def _lines(*_: Any) -> None:
    for number in range(2000):
        os.write(1, b"line %d\n" % number)
        if number % 500 == 499:
            os.write(2, b"warning\n")


def _echo(*_: Any) -> None:
    while data := os.read(0, 65536):
        os.write(1, data)


def _show(spec: dict[str, Any], _: dict[str, int]) -> None:
    os.write(1, json.dumps(spec).encode())


def _write_state(spec: dict[str, Any], _: dict[str, int]) -> None:
    for opened in spec["dirs"]:
        if opened["writable"]:
            (Path(opened["host"]) / "result.txt").write_bytes(b"42\n")


def _tensor(_: dict[str, Any], options: dict[str, int]) -> None:
    for step in range(3):
        data = base64.b64encode(bytes([step] * 300_000)).decode()
        line = {"event": "tensor", "model": "m", "output": "y", "index": 0, "step": step, "dtype": "uint8"}
        report(options, {**line, "shape": [300_000], "data": data})


def _leave_a_child(*_: Any) -> None:
    if os.fork() == 0:
        time.sleep(600)


def _out_of_memory(_: dict[str, Any], options: dict[str, int]) -> None:
    os.write(options["--log"], b"terminate called after std::bad_alloc\n")
    os.abort()


def _close_everything(_: dict[str, Any], options: dict[str, int]) -> None:
    for fd in (1, 2, options["--report"]):
        os.close(fd)
    time.sleep(600)


def _linger_after_end(_: dict[str, Any], options: dict[str, int]) -> None:
    report(options, {"event": "end", "outcome": "exit", "status": 7, "kind": "exit"})
    time.sleep(600)


DEEDS: dict[str, Callable[[dict[str, Any], dict[str, int]], None]] = {
    "exit": lambda *_: None,
    "spin": _spin,
    "flood": _flood,
    "echo": _echo,
    "lines": _lines,
    "show-spec": _show,
    "write-state": _write_state,
    "tensor": _tensor,
    "leave-a-child": _leave_a_child,
    "abort": lambda *_: os.abort(),
    "segv": lambda *_: os.kill(os.getpid(), signal.SIGSEGV),
    "silent-exit": lambda *_: os._exit(3),
    "out-of-memory": _out_of_memory,
    "close-everything": _close_everything,
    "linger-after-end": _linger_after_end,
}

if __name__ == "__main__":
    main()
