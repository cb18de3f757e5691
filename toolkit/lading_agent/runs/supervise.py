"""Keeps one runner process within its limits and says how it ended.

The runner is a process group of its own: whatever happens in it (a crash, an endless loop, an interpreter that does not
return), the caller goes on. A watchdog thread kills the group when its time is over or the caller wants it gone, also
while a callback is blocked by a slow reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import selectors
import signal
import subprocess
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, BinaryIO, Callable, Dict, List, Mapping, Optional

from lading_agent.runs import verdict
from lading_agent.runs.launch import CannotLaunch, Doctor, RunnerCommand, python_runner
from lading_agent.runs.report import PHASES
from lading_agent.runs.result import RunResult

if TYPE_CHECKING:
    from lading_agent.runs.spec import RunSpec

CHUNK = 64 * 1024
MAX_REPORT_LINE = 64 * 1024 * 1024
"""A longer report line ends the run: the runner has lost its mind."""
START_ALLOWANCE_S = 60.0
"""How long a runner may take to get ready; the run's own time starts after that."""
END_ALLOWANCE_S = 5.0
"""How long a runner may live on after it said that the run is over."""
STDERR_TAIL = 4096
POLL_S = 0.02
GATHER_MS = 25
"""How long short lines of standard output may come together, where every piece costs a turn of its own."""
GATHERED = 4096
"""What is longer than this is passed on as it comes."""

Bytes = Callable[[bytes], None]
Report = Callable[[Dict[str, Any]], None]


def run(
    spec: RunSpec,
    *,
    stdin: Optional[int] = None,
    on_stdout: Bytes,
    on_stderr: Bytes,
    on_report: Report,
    should_stop: Optional[Callable[[], bool]] = None,
    command: Optional[RunnerCommand] = None,
    gather: bool = False,
) -> RunResult:
    """Run one guest, or one set of golden vectors, and wait for its end.

    Args:
        spec: what to run, and its limits.
        stdin: a file descriptor for the guest's standard input; None for an empty one.
        on_stdout: takes the guest's standard output as it comes.
        on_stderr: the same for standard error.
        on_report: takes each report event but ``end`` and ``phase`` (see :mod:`lading_agent.runs.report`).
        should_stop: asked all the time; True kills the run.
        command: starts another runner than the Python host.
        gather: after a piece of standard output let what follows come together for a moment: for a guest that waits for
            no answer, and a way that is slow for many small pieces.

    Returns:
        How it ended. A run that the host ended is a result too, never an exception.
    """
    chosen = command or python_runner
    try:
        argv = chosen(spec)
    except CannotLaunch as error:
        return RunResult("failed", verdict.HOST_FAILED, error.kind, error.message, error.remedy)
    result = _Supervisor(spec, on_stdout, on_stderr, on_report, should_stop, gather=gather).run(argv, stdin)
    return chosen.examine(spec, result) if isinstance(chosen, Doctor) else result


class _Supervisor:
    def __init__(
        self,
        spec: RunSpec,
        on_stdout: Bytes,
        on_stderr: Bytes,
        on_report: Report,
        should_stop: Optional[Callable[[], bool]],
        *,
        gather: bool,
    ) -> None:
        self._spec = spec
        self._gather = gather
        self._sinks = {"stdout": on_stdout, "stderr": on_stderr}
        self._on_report = on_report
        self._should_stop = should_stop
        self._output_left = spec.limits.output_bytes
        self._line = bytearray()
        self._tail = bytearray()
        self._end: Optional[Dict[str, Any]] = None
        self._metrics: Dict[str, Any] = {}
        self._killed_for: Optional[str] = None
        self._killed_in: str = PHASES[0]
        self._kill_lock = threading.Lock()
        self._reaped = False

    def run(self, argv: List[str], stdin: Optional[int]) -> RunResult:
        with contextlib.ExitStack() as stack:
            spec_file = stack.enter_context(_anonymous_file("lading-spec"))
            spec_file.write(self._spec.encode())
            spec_file.flush()
            spec_file.seek(0)
            self._phase_file = stack.enter_context(_anonymous_file("lading-phase"))
            self._phase_file.write(b"\0")
            self._phase_file.flush()
            report_read, report_write = os.pipe()
            report = stack.enter_context(os.fdopen(report_read, "rb", 0))
            self._log_file = stack.enter_context(_anonymous_file("lading-log"))
            fds = {
                "--spec": spec_file.fileno(),
                "--report": report_write,
                "--phase": self._phase_file.fileno(),
                "--log": self._log_file.fileno(),
            }
            try:
                process = subprocess.Popen(
                    [*argv, *(word for name, fd in fds.items() for word in (name, str(fd)))],
                    stdin=subprocess.DEVNULL if stdin is None else stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=tuple(fds.values()),
                    start_new_session=True,
                    cwd="/",
                    bufsize=0,
                )
            except OSError as error:
                return verdict.cannot_start(argv[0], error)
            finally:
                os.close(report_write)
            assert process.stdout is not None
            assert process.stderr is not None
            pipes = {"stdout": process.stdout.fileno(), "stderr": process.stderr.fileno(), "report": report.fileno()}
            over = threading.Event()
            watchdog = threading.Thread(target=self._watch, args=(process, over), name="run-watchdog", daemon=True)
            watchdog.start()
            try:
                self._pump(pipes, process)
                self._reap(process)
            except BaseException:
                self._kill(process, "stopped")
                self._reap(process)
                raise
            finally:
                over.set()
                watchdog.join()
                process.stdout.close()
                process.stderr.close()
            return self._result(process.returncode)

    def _phase(self) -> str:
        code = os.pread(self._phase_file.fileno(), 1, 0)
        return PHASES[code[0]] if code and code[0] < len(PHASES) else PHASES[0]

    def _watch(self, process: subprocess.Popen[bytes], over: threading.Event) -> None:
        """Kill the run when its time is over or somebody wants it gone."""
        begin = time.monotonic()
        ready: Optional[float] = None
        ended: Optional[float] = None
        limit = self._spec.limits.time_s
        while not over.wait(POLL_S):
            now = time.monotonic()
            if ready is None and self._phase() != PHASES[0]:
                ready = now
            if self._end is not None:
                ended = ended or now
                if now - ended >= END_ALLOWANCE_S:
                    self._kill(process, "lingered")
                    return
                continue
            if self._should_stop is not None and self._should_stop():
                self._kill(process, "stopped")
                return
            if limit is not None and ready is not None and now - ready >= limit:
                self._kill(process, "time-limit")
                return
            if ready is None and now - begin >= START_ALLOWANCE_S + (limit or 0):
                self._kill(process, "start-limit")
                return

    def _kill(self, process: subprocess.Popen[bytes], reason: str) -> None:
        with self._kill_lock:
            if self._killed_for is None and not self._reaped:
                self._killed_for = reason
                self._killed_in = self._phase()
            if not self._reaped:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

    def _pump(self, pipes: Mapping[str, int], process: subprocess.Popen[bytes]) -> None:
        """Pass on what the process writes until it closed all its pipes, or ended."""
        with selectors.DefaultSelector() as selector:
            for name, fd in pipes.items():
                os.set_blocking(fd, False)
                selector.register(fd, selectors.EVENT_READ, name)
            exited = False
            while selector.get_map():
                ready = selector.select(0 if exited else 0.1)
                if not ready:
                    if exited:
                        return  # a child of the runner may hold the pipes for ever: what it writes is nobody's
                    exited = _has_exited(process)
                    continue
                heard: Dict[str, int] = {}
                for key, _ in ready:
                    data = os.read(key.fd, CHUNK)
                    heard[key.data] = len(data)
                    if not data:
                        selector.unregister(key.fd)
                    elif key.data == "report":
                        self._take_report(data, process)
                    else:
                        self._take_output(str(key.data), data, process)
                if self._gather and set(heard) == {"stdout"} and 0 < heard["stdout"] <= GATHERED:
                    _wait_for_others(pipes)

    def _take_output(self, name: str, data: bytes, process: subprocess.Popen[bytes]) -> None:
        if name == "stderr":
            self._tail = (self._tail + data)[-STDERR_TAIL:]
        if self._output_left <= 0 and self._killed_for is not None:
            return
        if len(data) > self._output_left:
            data = data[: self._output_left]
            self._kill(process, "output-limit")
        self._output_left -= len(data)
        if data:
            self._sinks[name](data)

    def _take_report(self, data: bytes, process: subprocess.Popen[bytes]) -> None:
        self._line += data
        if b"\n" not in data:
            if len(self._line) > MAX_REPORT_LINE:
                self._line.clear()
                self._kill(process, "report-limit")
            return
        lines = self._line.split(b"\n")
        self._line = lines.pop()
        for line in lines:
            self._take_event(bytes(line))

    def _take_event(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError, RecursionError):
            event = {"event": "log", "level": "warning", "text": f"not a report line: {line[:200]!r}"}
            kind = "log"
        if kind == "end":
            self._end = event
        elif kind == "metric":
            self._metrics.update({key: value for key, value in event.items() if key != "event"})
            self._on_report(event)
        elif kind != "phase":
            self._on_report(event)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the process and for nobody else, and take the rest of its group away."""
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._kill_lock:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            self._reaped = True
            process.wait()

    def _result(self, returncode: int) -> RunResult:
        if self._end is not None and self._killed_for != "output-limit":
            return verdict.reported(self._end, self._metrics)
        return verdict.died(
            self._spec,
            returncode=returncode,
            killed_for=self._killed_for,
            phase=self._killed_in if self._killed_for else self._phase(),
            stderr_tail=bytes(self._tail) + self._last_words(),
            metrics=self._metrics,
        )

    def _last_words(self) -> bytes:
        """The end of what the interpreter said on its own standard error."""
        fd = self._log_file.fileno()
        return os.pread(fd, STDERR_TAIL, max(0, os.fstat(fd).st_size - STDERR_TAIL))


def _wait_for_others(pipes: Mapping[str, int]) -> None:
    """Let standard output come together for a moment, but not beyond its end, nor past what another pipe brings."""
    others = select.poll()
    for name, fd in pipes.items():
        others.register(fd, 0 if name == "stdout" else select.POLLIN)
    others.poll(GATHER_MS)


def _has_exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process ended, leaving it to be reaped (so that its number is not given to another one)."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _anonymous_file(name: str) -> BinaryIO:
    """A file without a name that a child can inherit."""
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.memfd_create(name), "w+b")
    return tempfile.TemporaryFile()
