"""Guests and models that misbehave: each run ends with a name for it, and the same agent answers the next request."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lading.bundle import open_bundle, pack
from lading.client import connect
from lading.devices import resolve
from lading.project import load_project
from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.command import Lading, listing
from tests.support.examples import ROOT
from tests.support.killer_models import arithmetic_trap, endless_loop, endless_recursion
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.client import RunResult, Session

MIB = 1024 * 1024


class Bench:
    """One agent, for the whole of a test; app ``good`` is on its board."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.session = session
        self.folder = folder
        self.install(guests.says("well\n"), name="good")

    def install(self, module: bytes, *, name: str = "bad", **options: Any) -> None:
        """Push an app."""
        project = load_project(write_app(self.folder / name, module, name=name, **options))
        with open_bundle(pack(project, self.folder / f"{name}.lading").path) as bundle:
            self.session.push(bundle)

    def run_bad(self, **options: Any) -> RunResult:
        """Run the app that misbehaves, and see that the agent goes on as if nothing had been."""
        result = self.session.run("bad", **options)
        self.assert_well()
        return result

    def assert_well(self) -> None:
        """The same agent answers, has all it had, and runs the good app; no process of the bad one is left."""
        self.session.ping()
        assert "good" in self.session.status()["apps"]
        written: list[bytes] = []
        ended = self.session.run("good", on_event=lambda event: written.append(getattr(event, "data", b"")))
        assert (ended.status, ended.kind, b"".join(written)) == (0, "exit", b"well\n")
        assert runners_of(self.session) == []


def runners_of(session: Session) -> list[int]:
    """The processes that a session's agent has started."""
    agent: int = session._link._process.pid  # type: ignore[attr-defined]
    found: list[int] = []
    for task in Path(f"/proc/{agent}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


@pytest.fixture
def bench(board: str, tmp_path: Path) -> Iterator[Bench]:
    """A session with a board."""
    with connect(resolve(board, tmp_path)) as session:
        yield Bench(session, tmp_path)


def named(result: RunResult, kind: str, status: int = 125) -> RunResult:
    """A run that the host ended, with a name, a sentence and a remedy."""
    assert (result.kind, result.status) == (kind, status), result
    assert result.message
    assert result.remedy
    return result


def test_a_loop_inside_wasm(bench: Bench) -> None:
    bench.install(guests.spins())
    result = named(bench.run_bad(timeout_s=0.3), "time-limit")
    assert "0.3 s" in result.message
    assert "the guest's own code" in result.message


def test_a_time_limit_of_the_app_itself(bench: Bench) -> None:
    bench.install(guests.spins(), app='timeout = "200ms"')
    assert "0.2 s" in named(bench.run_bad(), "time-limit").message


def test_stuck_in_compute(bench: Bench) -> None:
    """The interpreter does not come back from an inference, and nobody waits for it."""
    bench.install(guests.infers("endless", (1,), content=b"\0\0\x80\x3f"), models={"endless": endless_loop()})
    result = named(bench.run_bad(timeout_s=0.5), "interpreter-stuck")
    assert "0.5 s" in result.message
    assert "in compute" in result.message


def test_a_huge_model_and_a_short_time_limit(bench: Bench) -> None:
    """Wherever the time is over, reading, preparing or computing it: a named end."""
    model = fully_connected(24, 1024)
    bench.install(guests.infers("huge", (1, 1024), content=bytes(4096)), models={"huge": model})
    result = bench.run_bad(timeout_s=0.001)
    assert result.kind in {"time-limit", "interpreter-stuck"}, result
    assert result.status == 125
    assert bench.run_bad(timeout_s=60).status == 0


def test_memory_without_end(bench: Bench) -> None:
    bench.install(guests.allocates())
    result = named(bench.run_bad(memory_bytes=64 * MIB), "memory-limit")
    assert str(64 * MIB) in result.message or "64 MiB" in result.message


def test_memory_without_end_of_a_guest_that_never_listens(bench: Bench) -> None:
    """It gets no more, and asks for ever: what ends it is the time limit."""
    bench.install(guests.allocates_and_never_listens())
    named(bench.run_bad(memory_bytes=64 * MIB, timeout_s=0.5), "time-limit")


def test_memory_without_end_under_the_limit_of_the_app(bench: Bench) -> None:
    bench.install(guests.allocates(), app='memory = "48MiB"')
    named(bench.run_bad(), "memory-limit")


def test_output_without_end(bench: Bench) -> None:
    bench.install(guests.floods())
    written = 0

    def count(event: object) -> None:
        nonlocal written
        written += len(getattr(event, "data", b""))

    result = named(bench.run_bad(on_event=count), "output-limit")
    assert written == 64 * MIB
    assert str(64 * MIB) in result.message


def test_a_model_that_makes_the_interpreter_overflow_its_stack(bench: Bench) -> None:
    bench.install(guests.infers("killer"), models={"killer": endless_recursion()})
    result = named(bench.run_bad(), "interpreter-crashed")
    assert "SIGSEGV" in result.message


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the division traps on x86-64 only")
def test_a_model_that_makes_the_interpreter_abort_while_it_computes(bench: Bench) -> None:
    bench.install(
        guests.infers("killer", (4,), code=4, content=b"\0\0\0\x80" * 4), models={"killer": arithmetic_trap()}
    )
    result = named(bench.run_bad(), "interpreter-crashed")
    assert "SIGFPE" in result.message
    assert "compute" in result.message


def test_handles_without_end(bench: Bench) -> None:
    """Graphs and contexts end at the limit with the errno too_large (7), open files with an errno of WASI."""
    model = {"m": fully_connected(1, 4)}
    bench.install(guests.hoards_contexts("m"), models=model)
    assert bench.run_bad().status == 7
    bench.install(guests.hoards_graphs("m"), models=model, version="2.0.0")
    assert bench.run_bad().status == 7


def test_open_files_without_end(bench: Bench) -> None:
    (bench.folder / "bad" / "data").mkdir(parents=True)
    (bench.folder / "bad" / "data" / "a").write_bytes(b"a")
    more = '[[dir]]\nhost = "data"\nguest = "/data"'
    bench.install(guests.opens_without_end("a"), more=more)
    result = bench.run_bad(timeout_s=60)
    assert result.kind == "exit", result
    assert result.status in (29, 33, 41), "io, mfile or nfile"


def test_threads_without_end(bench: Bench) -> None:
    """64 contexts of 1024 threads each are more than a process gets: the guest hears of it, or the run ends by name."""
    bench.install(guests.hoards_contexts("m"), models={"m": fully_connected(1, 256)})
    result = bench.run_bad(threads=1024, timeout_s=60)
    assert result.kind in {"exit", "interpreter-crashed", "out-of-memory", "memory-limit"}, result
    assert (result.status == 125) == (result.kind != "exit")


def test_a_trap(bench: Bench) -> None:
    bench.install(guests.traps())
    result = bench.run_bad()
    assert (result.kind, result.status) == ("trap", 134)
    assert "unreachable" in result.message


def test_a_runner_that_the_kernel_kills(bench: Bench) -> None:
    bench.install(guests.says_and_spins("up\n"))

    def kill(event: object) -> None:
        if getattr(event, "data", b"") == b"up\n":
            for child in runners_of(bench.session):
                os.kill(child, signal.SIGKILL)

    named(bench.run_bad(on_event=kill), "out-of-memory")


def test_the_same_by_the_command(lading: Lading, board: str, tmp_path: Path) -> None:
    """Exit status 125, the name of what happened and a remedy on standard error."""
    for name, module, options, kind in (
        ("loop", guests.spins(), ("--timeout", "0.3s"), "time-limit"),
        ("memory", guests.allocates(), ("--max-memory", "48MiB"), "memory-limit"),
    ):
        lading("push", write_app(tmp_path / name, module, name=name), board)
        done = lading("run", board, name, *options, expect=125)
        assert f"lading: {kind}: " in done.err
        assert "  remedy: " in done.err
        assert lading.json("run", board, name, *options, expect=125)["kind"] == kind


@pytest.fixture
def small_board(lading: Lading, tmp_path: Path) -> str:
    """A board with 64 MiB, as the project's own data."""
    data = (ROOT / "targets" / "raspberry-pi-4b.toml").read_text()
    data = data.replace('ram = "1GiB"', 'ram = "64MiB"').replace('variants = ["1GiB", "2GiB", "4GiB", "8GiB"]', "")
    (lading.cwd / "targets").mkdir()
    (lading.cwd / "targets" / "small-board.toml").write_text(data.replace("Raspberry Pi 4 Model B", "Small board"))
    return f"emulated://small-board?state={tmp_path / 'board'}"


def test_a_model_over_the_target_s_memory(lading: Lading, small_board: str, tmp_path: Path) -> None:
    lading("push", write_app(tmp_path / "app", guests.says("old\n")), small_board)
    before = listing(tmp_path / "board")
    model = fully_connected(1, 64) + bytes(70 * MIB)
    app = write_app(tmp_path / "app", guests.says("new\n"), models={"huge": model}, version="2.0.0")
    done = lading("push", app, small_board, expect=1)
    assert "model huge" in done.err
    assert "Small board" in done.err
    assert "remedy" in done.err
    said = lading.json("deploy", app, small_board, expect=1)
    assert said["error"]["code"] == "too-large"
    assert said["devices"][0]["push"] is None
    assert listing(tmp_path / "board") == before
    assert lading("run", small_board).out == "old\n"


def test_a_model_that_needs_more_than_the_target_has_left(lading: Lading, small_board: str, tmp_path: Path) -> None:
    """It fits as a file, but not when it is loaded and computed: a named end again."""
    model = fully_connected(10, 1024)
    assert len(model) > 40 * MIB
    app = write_app(tmp_path / "app", guests.infers("big"), models={"big": model})
    done = lading.json("deploy", app, small_board, expect=1)
    ended = done["devices"][0]["run"]
    if ended is None:
        assert done["error"]["code"] in {"too-large", "check-refused", "no-variant"}
    else:
        assert ended["kind"] in {"out-of-memory", "memory-limit", "interpreter-crashed", "exit"}
        assert ended["status"] != 0
    assert lading("status", small_board)


def test_many_runs_at_once_on_one_agent(bench: Bench) -> None:
    """One that never ends does not hold up another."""
    import threading

    bench.install(guests.spins())
    ended: list[RunResult] = []
    thread = threading.Thread(target=lambda: ended.append(bench.session.run("bad", timeout_s=3)))
    begin = time.monotonic()
    thread.start()
    bench.session.ping()
    assert bench.session.run("good").status == 0
    assert not ended, f"the good run came back after {time.monotonic() - begin:.1f} s, when the bad one was over"
    thread.join()
    named(ended[0], "time-limit")
