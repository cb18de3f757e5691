from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.runs import supervise
from lading_agent.runs.report import PHASES
from lading_agent.runs.spec import Limits, RunSpec
from tests.support.local_agent import FAKE_RUNNER, fake_runner

if TYPE_CHECKING:
    from lading_agent.runs.result import RunResult


class Run:
    """One supervised run of the fake runner."""

    def __init__(self, folder: Path, module: dict[str, Any], limits: Limits | None = None, **options: Any) -> None:
        path = folder / "module"
        path.write_text(json.dumps(module))
        self.stdout = b""
        self.stderr = b""
        self.reports: list[dict[str, Any]] = []
        spec = RunSpec(module=str(path), personality={}, limits=limits or Limits(time_s=60))
        self.result: RunResult = supervise.run(
            spec,
            on_stdout=self._out,
            on_stderr=self._err,
            on_report=self.reports.append,
            command=fake_runner,
            **options,
        )

    def _out(self, data: bytes) -> None:
        self.stdout += data

    def _err(self, data: bytes) -> None:
        self.stderr += data


@pytest.mark.parametrize("gather", [False, True])
def test_streams_status_and_reports_come_through(tmp_path: Path, gather: bool) -> None:
    metric = {"event": "metric", "load_ms": 1.5}
    log = {"event": "log", "level": "info", "text": "ä"}
    run = Run(tmp_path, {"stdout": "out", "stderr": "err", "status": 17, "report": [log, metric]}, gather=gather)
    assert (run.stdout, run.stderr) == (b"out", b"err")
    assert (run.result.outcome, run.result.status, run.result.kind) == ("exit", 17, "exit")
    assert run.reports == [log, metric]
    assert run.result.metrics == {"load_ms": 1.5}


def test_short_lines_that_come_together_are_whole_and_in_order(tmp_path: Path) -> None:
    run = Run(tmp_path, {"do": "lines"}, gather=True)
    assert run.stdout == b"".join(b"line %d\n" % number for number in range(2000))
    assert run.stderr == b"warning\n" * 4


def test_standard_input_reaches_the_guest_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"\x00\xff\r\n")
    with path.open("rb") as file:
        assert Run(tmp_path, {"do": "echo"}, stdin=file.fileno()).stdout == b"\x00\xff\r\n"


def test_without_standard_input_the_guest_finds_its_end(tmp_path: Path) -> None:
    assert Run(tmp_path, {"do": "echo"}).result.status == 0


@pytest.mark.parametrize("phase", ["guest", "init", "compute"])
def test_a_run_that_takes_too_long_is_ended_with_what_it_was_doing(tmp_path: Path, phase: str) -> None:
    run = Run(tmp_path, {"do": "spin", "phase": PHASES.index(phase)}, Limits(time_s=0.2))
    assert (run.result.status, run.result.kind) == (125, "time-limit" if phase == "guest" else "interpreter-stuck")
    assert "0.2 s" in run.result.message
    assert {"guest": "guest's own code", "init": "stuck in init", "compute": "stuck in compute"}[
        phase
    ] in run.result.message


def test_a_runner_that_closes_its_pipes_and_stays_is_ended_too(tmp_path: Path) -> None:
    assert Run(tmp_path, {"do": "close-everything"}, Limits(time_s=0.3)).result.kind == "time-limit"


def test_a_runner_that_lingers_after_its_end_event_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "END_ALLOWANCE_S", 0.2)
    assert Run(tmp_path, {"do": "linger-after-end"}, Limits(time_s=None)).result.status == 7


def test_output_without_end_is_cut_at_the_limit(tmp_path: Path) -> None:
    run = Run(tmp_path, {"do": "flood"}, Limits(time_s=60, output_bytes=100_000))
    assert len(run.stdout) == 100_000
    assert (run.result.status, run.result.kind) == (125, "output-limit")


@pytest.mark.parametrize(
    ("deed", "kind", "word"),
    [
        ("abort", "interpreter-crashed", "SIGABRT"),
        ("segv", "interpreter-crashed", "SIGSEGV"),
        ("out-of-memory", "out-of-memory", "out of memory"),
        ("silent-exit", "runner-failed", "status 3"),
    ],
)
def test_a_runner_that_dies_is_a_named_error(tmp_path: Path, deed: str, kind: str, word: str) -> None:
    run = Run(tmp_path, {"do": deed, "phase": PHASES.index("compute")})
    assert (run.result.outcome, run.result.status, run.result.kind) == ("failed", 125, kind)
    assert word in run.result.message
    assert run.result.remedy


def test_what_the_runner_started_goes_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path, {"do": "leave-a-child"}, Limits(time_s=60))
    assert run.result.status == 0


def test_stopping_ends_the_run(tmp_path: Path) -> None:
    run = Run(tmp_path, {"do": "spin"}, should_stop=lambda: True)
    assert run.result.kind == "stopped"


def test_a_blocked_reader_does_not_lift_the_time_limit(tmp_path: Path) -> None:
    gone = threading.Event()
    module = tmp_path / "module"
    module.write_text(json.dumps({"do": "flood"}))

    def slow(_: bytes) -> None:
        gone.wait(20)

    def watch() -> None:
        # The runner is a session leader of its own; when it is gone the time limit worked although `slow` still waits.
        while not (pids := _children_named("fake_runner.py")):
            pass
        while pids & _children_named("fake_runner.py"):
            pass
        gone.set()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    spec = RunSpec(module=str(module), personality={}, limits=Limits(time_s=0.3))
    result = supervise.run(spec, on_stdout=slow, on_stderr=slow, on_report=lambda _: None, command=fake_runner)
    assert result.kind == "time-limit"
    assert gone.is_set()


def _children_named(name: str) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
                status = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if name.encode() in words and int(status[1]) == os.getpid() and status[0] != "Z":
                found.add(int(entry.name))
    return found


def test_a_program_that_is_not_there_is_a_named_error(tmp_path: Path) -> None:
    spec = RunSpec(module="", personality={})
    result = supervise.run(
        spec,
        on_stdout=lambda _: None,
        on_stderr=lambda _: None,
        on_report=lambda _: None,
        command=lambda _: [str(tmp_path / "nothing")],
    )
    assert (result.status, result.kind) == (125, "runner-failed")


def test_an_exception_in_a_callback_ends_the_run(tmp_path: Path) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError("the reader is gone")

    module = tmp_path / "module"
    module.write_text(json.dumps({"do": "flood"}))
    with pytest.raises(RuntimeError, match="the reader is gone"):
        supervise.run(
            RunSpec(module=str(module), personality={}),
            on_stdout=fail,
            on_stderr=fail,
            on_report=lambda _: None,
            command=fake_runner,
        )
    assert not _children_named("fake_runner.py")


ORPHAN = """
import os, sys
from lading_agent.runs.orphan import die_with_parent
parent_gone, ready = int(sys.argv[1]), int(sys.argv[2])
if os.fork() == 0:
    die_with_parent()
    os.write(ready, b"r")
    while True: pass
os.read(parent_gone, 1)
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_runner_dies_with_whoever_started_it() -> None:
    go_read, go_write = os.pipe()
    ready_read, ready_write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(go_read), str(ready_write)], pass_fds=(go_read, ready_write)
    )
    os.close(ready_write)
    assert os.read(ready_read, 1) == b"r"
    os.write(go_write, b"g")
    process.wait()
    # The pipe's other end closes with the grandchild: an endless loop that only the kernel could have ended.
    assert os.read(ready_read, 1) == b""
    for fd in (go_read, go_write, ready_read):
        os.close(fd)


def test_the_fake_runner_is_where_the_tests_look_for_it() -> None:
    assert FAKE_RUNNER.is_file()
