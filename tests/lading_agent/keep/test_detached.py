"""Runs that go on when nobody is connected."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from lading.client.events import Log, Output
from lading.errors import DeviceError, NoSuchApp, NoSuchRelease, NoSuchRun, UsageError, VersionMismatch
from lading_agent.keep import files, runs
from lading_agent.keep.processes import Identity, myself
from tests.support.cargo import Cargo, cargo
from tests.support.keeping import eventually

if TYPE_CHECKING:
    from lading.client import Session
    from tests.support.keeping import Board


def app(version: str = "1.0.0", **module: Any) -> Cargo:
    return cargo(version, module=module, smoke=(), golden=False)


SPINS = app(stdout="up\n", stderr="hm\n", do="spin")


def output(agent: Session, stream: int = 1, **options: Any) -> bytes:
    events: list[Any] = []
    agent.logs("echo", on_event=events.append, **options)
    return b"".join(event.data for event in events if isinstance(event, Output) and event.stream == stream)


def test_a_run_outlives_its_agent(board: Board) -> None:
    with board.session() as agent:
        agent.push(SPINS)
        run = agent.run_detached("echo")
        assert (run["run"], run["state"]) == ("1", "running")
    with board.session() as agent:
        (going,) = agent.status()["apps"]["echo"]["runs"]
        assert going["run"] == "1"
        assert eventually(lambda: output(agent)) == b"up\n"
        assert output(agent, 2) == b"hm\n"
        stopped = agent.stop()["stopped"]
        assert [(run["run"], run["kind"], run["state"]) for run in stopped] == [("1", "stopped", "ended")]
        assert agent.status()["apps"]["echo"]["runs"] == []
        assert agent.stop() == {"app": "echo", "stopped": [], "service": False}
    assert board.processes() == []


def test_how_it_ended_is_told_with_its_metrics(board: Board) -> None:
    report = [{"event": "metric", "load_ms": 2.5, "inferences": 3}]
    with board.session() as agent:
        agent.push(app(stdout="done\n", status=3, report=report))
        agent.run_detached("echo", args=["a", "b"])
        ended = agent.logs("echo", follow=True, on_event=lambda _: None)
    assert (ended["state"], ended["outcome"], ended["status"], ended["kind"]) == ("ended", "exit", 3, "exit")
    assert ended["metrics"] == {"load_ms": 2.5, "inferences": 3}
    assert ended["args"] == ["a", "b"]
    assert ended["ended"]


def test_following_ends_with_the_run_and_has_all_of_it(board: Board) -> None:
    text = "".join(f"Zeile {number} äöü ✓\n" for number in range(20_000))
    with board.session() as agent:
        agent.push(app(stdout=text))
        agent.run_detached("echo")
        assert output(agent, follow=True) == text.encode()
        assert output(agent, lines=2) == "".join(text.splitlines(keepends=True)[-2:]).encode()


def test_two_runs_have_their_own_output_and_end(board: Board) -> None:
    with board.session() as agent:
        agent.push(app(do="show-spec"))
        for number in ("1", "2"):
            assert agent.run_detached("echo", args=[f"of-{number}"])["run"] == number
        for number in ("1", "2"):
            assert f'"of-{number}"'.encode() in output(agent, run=number, follow=True)
        agent.push(app("2.0.0", do="spin"))
        assert [agent.run_detached("echo")["run"] for _ in range(2)] == ["3", "4"]
        assert [run["run"] for run in agent.status()["apps"]["echo"]["runs"]] == ["4", "3"]
        assert [run["run"] for run in agent.stop(run="3")["stopped"]] == ["3"]
        assert [run["run"] for run in agent.stop()["stopped"]] == ["4"]


def test_no_standard_input_and_its_own_limits(board: Board) -> None:
    with board.session() as agent:
        agent.push(app(do="spin"))
        agent.run_detached("echo", timeout_s=0.2)
        assert agent.logs("echo", follow=True, on_event=lambda _: None)["kind"] == "time-limit"
        agent.push(app("2.0.0", do="echo", stdout="nothing to read\n"))
        agent.run_detached("echo")
        assert output(agent, follow=True) == b"nothing to read\n"


def test_the_whole_log_is_bounded_and_no_output_limit_ends_the_run(board: Board) -> None:
    with board.session() as agent:
        agent.push(app(do="flood"))
        agent.run_detached("echo", timeout_s=1)
        assert agent.logs("echo", follow=True, on_event=lambda _: None)["kind"] == "time-limit"
    size = sum(path.stat().st_size for path in runs.folder(board.layout, "echo", "1").iterdir())
    assert 1024 * 1024 < size < 2.2 * 1024 * 1024


def test_a_release_that_runs_is_neither_collected_nor_removed(board: Board) -> None:
    with board.session() as agent:
        agent.push(SPINS)
        agent.run_detached("echo")
        agent.push(app("2.0.0"))
        agent.push(app("3.0.0"))
        assert agent.gc(keep=1)["removed"] == []
        with pytest.raises(DeviceError, match="is running"):
            agent.remove("echo", SPINS.release)
        with pytest.raises(DeviceError, match="is running"):
            agent.remove("echo")
        agent.stop()
        assert agent.gc(keep=1)["removed"] == [f"echo {SPINS.release}"]
        agent.remove("echo")
    assert not board.layout.app("echo").exists()


def test_only_the_last_few_runs_stay(board: Board) -> None:
    with board.session() as agent:
        agent.push(app())
        for _ in range(runs.ENDED_KEPT + 3):
            agent.run_detached("echo")
            agent.logs("echo", follow=True, on_event=lambda _: None)
        kept = [run.id for run in runs.listed(board.layout, "echo")]
        assert kept == ["8", "7", "6", "5", "4"]


def test_what_cannot_be_run_is_said_at_once_and_leaves_nothing(board: Board) -> None:
    with board.session() as agent:
        with pytest.raises(NoSuchApp):
            agent.run_detached("echo")
        agent.push(app())
        with pytest.raises(NoSuchRelease):
            agent.run_detached("echo", release="9")
        with pytest.raises(NoSuchRun, match="no detached run and no service"):
            agent.logs("echo", on_event=lambda _: None)
        with pytest.raises(NoSuchRun, match="has no run 7"):
            agent.stop("echo", run="7")
        for number in ("../1", "", "0", "service"):
            with pytest.raises(NoSuchRun):
                agent.logs("echo", run=number, on_event=lambda _: None)
    assert not (board.layout.app("echo") / "runs").exists()


def test_a_keeper_that_was_killed_is_noticed(board: Board) -> None:
    with board.session() as agent:
        agent.push(SPINS)
        run = agent.run_detached("echo")
        eventually(lambda: output(agent))
        os.kill(run["pid"], signal.SIGKILL)
        eventually(lambda: not agent.status()["apps"]["echo"]["runs"])
        ended = agent.logs("echo", follow=True, on_event=lambda _: None)
        assert (ended["state"], ended["status"], ended["kind"]) == ("ended", 125, "keeper-died")
        assert agent.stop()["stopped"] == []
    # The guest goes with its keeper: nothing keeps it within its limits any more.
    eventually(lambda: not board.processes())


def test_another_process_of_that_number_is_not_taken_for_the_keeper(board: Board) -> None:
    with board.session() as agent:
        agent.push(app())
        agent.run_detached("echo")
        agent.logs("echo", follow=True, on_event=lambda _: None)
    path = runs.folder(board.layout, "echo", "1") / "status.json"
    me = myself()
    for stranger in (Identity(me.pid, me.start + 1, me.boot_id), Identity(me.pid, me.start, "another boot")):
        doc = files.read(path) or {}
        files.write(path, {**doc, "state": "running", "process": stranger.to_json()})
        found = runs.read(board.layout, "echo", "1")
        assert found is not None
        assert found.kind == runs.DIED
        with board.session() as agent:
            assert agent.stop()["stopped"] == []


def test_a_guest_that_does_not_listen_is_stopped(board: Board) -> None:
    with board.session() as agent:
        agent.push(app(do="close-everything"))
        agent.run_detached("echo")
        assert agent.stop()["stopped"][0]["kind"] == "stopped"


def test_the_agent_may_die_and_the_run_goes_on(board: Board) -> None:
    with board.session() as agent:
        agent.push(SPINS)
        pid = agent.run_detached("echo")["pid"]
        os.kill(agent._link.pid, signal.SIGKILL)  # type: ignore[attr-defined]
    with board.session() as agent:
        assert agent.status()["apps"]["echo"]["runs"][0]["pid"] == pid


def test_hosts_words_are_told_apart(board: Board) -> None:
    report = [{"event": "log", "level": "warning", "text": "slow"}, {"event": "log", "level": "info", "text": "fine"}]
    events: list[Any] = []
    with board.session() as agent:
        agent.push(app(stdout="out\n", report=report))
        agent.run_detached("echo")
        agent.logs("echo", follow=True, on_event=events.append)
    assert [event.text for event in events if isinstance(event, Log)] == ["slow"]


def test_an_older_agent_is_named(board: Board) -> None:
    with board.session() as agent:
        object.__setattr__(agent.hello, "features", ())
        for ask in (agent.run_detached, agent.stop, agent.confirm):
            with pytest.raises(VersionMismatch, match="cannot do this"):
                ask()


def test_standard_input_is_refused(board: Board) -> None:
    with board.session() as agent:
        agent.push(app())
        with pytest.raises(UsageError):
            agent._connection.ask("run", app="echo", detach=True, stdin=True)
