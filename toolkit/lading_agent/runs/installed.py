"""The runner process of guests that run on the device's own runtime.

It stands behind the same contract as lading's hosts (see :mod:`lading_agent.runs.spec`), so that such a run is kept
within its limits like any other. The program gets the guest's three streams themselves: what it writes passes through
byte by byte, its own log lines among it. Its exit status is the run's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Dict, Final, List, Optional

from lading_agent.runs.launch import zipapp_path
from lading_agent.runs.orphan import die_with_parent
from lading_agent.runs.program import Program, line_of
from lading_agent.runs.result import RunResult
from lading_agent.runs.spec import RunSpec

if TYPE_CHECKING:
    from lading_agent.runs.program import Line

OWN_BYTES: Final = 128 * 1024 * 1024
"""What a runtime may use for itself beside its guest, where its table does not say."""
_KINDS: Final = {int(signal.SIGABRT): "host-abort", int(signal.SIGSEGV): "host-segv", int(signal.SIGBUS): "host-segv"}
_GUEST_PHASE: Final = 1
_END_PHASE: Final = 8


def installed_runner() -> List[str]:
    """The command of this process, from this very package or zipapp."""
    archive = zipapp_path()
    if archive is not None:
        return [sys.executable, str(archive), "installed"]
    return [sys.executable, "-m", "lading_agent.runs.installed"]


def main(argv: Optional[List[str]] = None) -> int:
    """Be the runner of one guest.

    Returns:
        An exit status; the truth is the report's ``end``.
    """
    parser = argparse.ArgumentParser(prog="lading-agent installed")
    for name in ("--spec", "--report", "--phase", "--log"):
        parser.add_argument(name, type=int, required=name != "--log")
    options = parser.parse_args(argv)
    die_with_parent()
    with os.fdopen(options.spec, "rb") as file:
        spec = RunSpec.from_json(json.loads(file.read()))
    program = Program.from_json(spec.program)
    os.pwrite(options.phase, bytes((_GUEST_PHASE,)), 0)
    end = _run(program, spec)
    os.pwrite(options.phase, bytes((_END_PHASE,)), 0)
    _tell(options.report, "metric", end.metrics)
    told = asdict(end)
    del told["metrics"]
    _tell(options.report, "end", told)
    return end.status


def _run(program: Program, spec: RunSpec) -> RunResult:
    try:
        line = line_of(program, spec)
        process = _start(line, _memory(program, spec))
    except (OSError, subprocess.SubprocessError) as error:
        return RunResult(
            "failed",
            125,
            "runner-failed",
            f"{program.title} ({program.path}) cannot be started: {getattr(error, 'strerror', None) or error}",
            "see whether it is installed whole on the device",
        )
    _, raw, usage = os.wait4(process.pid, 0)
    metrics: Dict[str, Any] = {
        "runtime": f"{program.title} ({program.path})",
        "peak_memory_bytes": usage.ru_maxrss * 1024,
    }
    if os.WIFSIGNALED(raw):
        return _died(program, spec, os.WTERMSIG(raw), metrics)
    status = os.WEXITSTATUS(raw)
    return RunResult("exit", status, "exit", _hint(program, status), "", metrics)


def _start(line: Line, memory: Optional[int]) -> subprocess.Popen[bytes]:
    def prepare() -> None:
        die_with_parent()
        if memory is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            wanted = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
            resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))

    return subprocess.Popen(
        line.words,
        cwd=line.folder,
        env={**os.environ, **line.environment},
        preexec_fn=prepare,
    )


def _memory(program: Program, spec: RunSpec) -> Optional[int]:
    """How much private data the program may have; None without a limit, or for one that does not bear any."""
    limit = spec.limits.memory_bytes
    if limit is None or program.command.get("memory_limit") is False:
        return None
    return limit + int(program.command.get("memory_own") or OWN_BYTES)


def _hint(program: Program, status: int) -> str:
    """What a status may mean beside the guest's own word: a command's end cannot be told apart further."""
    meanings = sorted(way.replace("_", " ") for way, value in program.statuses.items() if value == status)
    if not status or not meanings:
        return ""
    return f"{program.name} ended with {status}, which it also gives for: {', '.join(meanings)}"


def _died(program: Program, spec: RunSpec, number: int, metrics: Dict[str, Any]) -> RunResult:
    limit = spec.limits.memory_bytes
    under = f" under a memory limit of {limit} bytes" if limit is not None else ""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGKILL:  # nobody of ours killed it alone: the kernel did, for memory
        message = f"{program.title} was killed{under}: the device is out of memory"
        return RunResult("failed", 125, "out-of-memory", message, "use a smaller model, or less memory", metrics)
    kind = _KINDS.get(number, "host-abort")
    remedy = "try the app on the host first (lading emulate), or with more memory (--max-memory)"
    message = f"{program.title} died by {name}{under}"
    return RunResult("host-crash", 128 + number, kind, message, remedy, metrics)


def _tell(report: int, event: str, fields: Any) -> None:
    data = memoryview(json.dumps({"event": event, **fields}).encode() + b"\n")
    while data:
        try:
            data = data[os.write(report, data) :]
        except OSError:
            return


if __name__ == "__main__":
    sys.exit(main())
