"""What the end of a runner process means, in words and statuses."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Mapping, Optional

from lading_agent.runs.result import RunResult

if TYPE_CHECKING:
    from lading_agent.runs.spec import RunSpec

HOST_FAILED = 125
CANNOT_RUN = 126

_MEMORY_WORDS = (
    b"bad_alloc",
    b"MemoryError",
    b"Cannot allocate memory",
    b"out of memory",
    b"Out of memory",
    b"memory allocation of",
)

_DOING = {
    "start": "starting the runner",
    "guest": "running the guest's own code",
    "load": "stuck in load: the interpreter did not return from reading a model",
    "init": "stuck in init_execution_context: the interpreter did not return from preparing a model",
    "set_input": "stuck in set_input",
    "compute": "stuck in compute: the interpreter did not return from an inference",
    "get_output": "stuck in get_output",
    "golden": "comparing golden vectors",
    "end": "ending the run",
}

_DIED = {
    "load": "in load: reading a model",
    "init": "in init_execution_context: preparing a model",
    "set_input": "in set_input",
    "compute": "in compute: an inference",
    "get_output": "in get_output",
}
"""What a runner was doing that did not hang, but died of it."""

_INTERPRETER = ("load", "init", "set_input", "compute", "get_output")
"""Phases in which the guest waits for the interpreter."""


def reported(end: Mapping[str, Any], metrics: Mapping[str, Any]) -> RunResult:
    """The runner said itself how the run ended."""
    return RunResult.from_json({**end, "metrics": metrics})


def cannot_start(program: str, error: OSError) -> RunResult:
    """There was no runner process at all."""
    return RunResult(
        "failed",
        HOST_FAILED,
        "runner-failed",
        f"the runner {program} cannot be started: {error.strerror or error}",
        "install lading again on this machine",
    )


def died(
    spec: RunSpec,
    *,
    returncode: int,
    killed_for: Optional[str],
    phase: str,
    stderr_tail: bytes,
    metrics: Mapping[str, Any],
) -> RunResult:
    """The runner ended without a word.

    Args:
        spec: what was run.
        returncode: exit status of the process, or minus the signal that ended it.
        killed_for: why the supervisor killed it, if it did.
        phase: what it was doing.
        stderr_tail: the end of its standard error.
        metrics: what it reported so far.
    """
    limits = spec.limits
    doing = _DOING.get(phase, phase)
    if killed_for == "time-limit":
        return RunResult(
            "failed",
            HOST_FAILED,
            "interpreter-stuck" if phase in _INTERPRETER else "time-limit",
            f"over the time limit of {limits.time_s:g} s while {doing}",
            "give it more time (--timeout, or timeout in lading.toml), or make it do less",
            metrics,
        )
    if killed_for == "start-limit":
        return RunResult(
            "failed", HOST_FAILED, "runner-failed", "the runner did not get ready", "is the device overloaded?", metrics
        )
    if killed_for == "output-limit":
        return RunResult(
            "failed",
            HOST_FAILED,
            "output-limit",
            f"over the output limit of {limits.output_bytes} bytes while {doing}",
            "write less to standard output and error, or write to a state directory",
            metrics,
        )
    if killed_for == "report-limit":
        return RunResult("failed", HOST_FAILED, "runner-failed", "the runner's report has no end", "", metrics)
    if killed_for == "stopped":
        return RunResult("failed", HOST_FAILED, "stopped", f"stopped while {doing}", "", metrics)
    doing = _DIED.get(phase, doing)
    if returncode < 0:
        return _died_by_signal(spec, -returncode, doing, stderr_tail, metrics)
    if _memory_was_short(stderr_tail, None):
        return _out_of_memory(spec, doing, metrics)
    last = stderr_tail.decode("utf-8", "replace").strip().splitlines()[-1:]
    return RunResult(
        "failed",
        HOST_FAILED,
        "runner-failed",
        f"the runner ended with status {returncode} and no word while {doing}" + (f": {last[0]}" if last else ""),
        "is the runtime installed whole (wasmtime, ai-edge-litert)?",
        metrics,
    )


def _died_by_signal(
    spec: RunSpec, number: int, doing: str, stderr_tail: bytes, metrics: Mapping[str, Any]
) -> RunResult:
    if _memory_was_short(stderr_tail, number):
        return _out_of_memory(spec, doing, metrics)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return RunResult(
        "failed",
        HOST_FAILED,
        "interpreter-crashed",
        f"the runner died by {name} while {doing}",
        "the model makes the interpreter crash, or memory is short: try the model on the host first (lading emulate)",
        metrics,
    )


def _memory_was_short(stderr_tail: bytes, number: Optional[int]) -> bool:
    if any(word in stderr_tail for word in _MEMORY_WORDS):
        return True
    return number == signal.SIGKILL  # nobody of ours killed it: the kernel did, for memory


def _out_of_memory(spec: RunSpec, doing: str, metrics: Mapping[str, Any]) -> RunResult:
    limit = spec.limits.memory_bytes
    under = f" under a limit of {limit} bytes" if limit is not None else ""
    return RunResult(
        "failed",
        HOST_FAILED,
        "out-of-memory",
        f"out of memory{under} while {doing}",
        "use a smaller model, or a target with more memory (--max-memory, or memory in lading.toml)",
        metrics,
    )
