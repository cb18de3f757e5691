"""A release that nobody confirms: the device goes back by itself, whatever happens to whoever is to do it."""

from __future__ import annotations

import errno
import os
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading.errors import DeviceError, LadingError, NotPending
from lading.links.process import ProcessLink
from lading_agent.errors import AgentError
from lading_agent.keep import attend, goback, pending, watcher
from lading_agent.keep.pending import MAX_BOOTS, Pending
from lading_agent.keep.surroundings import Surroundings
from lading_agent.serve.device import Served
from lading_agent.store.lock import holder, locked
from lading_agent.store.releases import Releases
from lading_agent.store.steps import REVERT_STEPS, STEPS
from tests.support.cargo import Cargo, cargo
from tests.support.keeping import Board, eventually
from tests.support.local_agent import fake_runner
from tests.support.stores import assert_no_garbage, assert_whole

if TYPE_CHECKING:
    from pathlib import Path

    from lading_agent.store.layout import Layout


def app(version: str, **more: Any) -> Cargo:
    return cargo(version, smoke=(), golden=False, **more)


OLD, NEW, NEWER = app("1.0.0"), app("2.0.0"), app("3.0.0")
LONG, SHORT = 600.0, 0.3
SWITCHED = STEPS.index("switch-rename")


def on_old(board: Board) -> Board:
    with board.session() as agent:
        agent.push(OLD)
    return board


def last(board: Board) -> dict[str, Any]:
    return Releases(board.layout, "echo").history()[-1]


def test_confirmed_it_stays(board: Board) -> None:
    with on_old(board).session() as agent:
        waiting = agent.push(NEW, confirm_within_s=LONG).pending
        assert waiting is not None
        assert (waiting["release"], waiting["previous"], waiting["within_s"]) == (NEW.release, OLD.release, LONG)
        assert 0 < waiting["left_s"] <= LONG
        assert agent.status()["apps"]["echo"]["pending"]["release"] == NEW.release
        assert agent.releases()["pending"]["left_s"] <= LONG
        done = agent.confirm("echo")
        assert (done["release"], done["confirmed"]) == (NEW.release, True)
        assert agent.confirm()["confirmed"] is False, "twice is no error"
        assert agent.status()["apps"]["echo"]["pending"] is None
    eventually(lambda: not board.processes())
    assert board.history() == ["push", "push", "confirm"]
    assert_whole(board.home, "echo", {NEW.release})
    assert_no_garbage(board.home)


def test_not_confirmed_the_device_goes_back_without_a_connection(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=SHORT)
    eventually(lambda: board.current() == OLD.release and holder(board.layout.lock) is None)
    eventually(lambda: not board.processes())
    assert (last(board)["action"], last(board)["release"]) == ("revert", OLD.release)
    assert "nobody confirmed it within 0.3 s" in last(board)["why"]
    with board.session() as agent:
        with pytest.raises(NotPending, match="went back to echo"):
            agent.confirm()
        assert agent.status()["apps"]["echo"]["previous"] is None, "nobody rolls back to what did not hold"
        assert agent.push(NEW).sent_blobs == 0
    assert_whole(board.home, "echo", {NEW.release})
    assert_no_garbage(board.home)


def test_an_app_that_was_never_there_has_nothing_to_go_back_to(board: Board) -> None:
    with board.session() as agent:
        for dry_run in (True, False):
            with pytest.raises(NotPending, match="no release to go back to"):
                agent.push(OLD, confirm_within_s=LONG, dry_run=dry_run)
        agent.push(OLD)
        with pytest.raises(NotPending, match="waits to be confirmed"):
            agent.confirm()


def test_a_rollback_by_hand_ends_the_waiting(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        agent.rollback("echo")
        assert agent.status()["apps"]["echo"]["pending"] is None
    eventually(lambda: not board.processes())
    assert board.history() == ["push", "push", "rollback"]


def test_another_push_takes_its_place(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        agent.push(NEWER)
        assert agent.status()["apps"]["echo"]["pending"] is None
    eventually(lambda: not board.processes())
    assert_whole(board.home, "echo", {NEWER.release})


def test_unconfirmed_over_unconfirmed_goes_back_to_what_was_certain(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        agent.push(NEWER, confirm_within_s=SHORT, keep=1)
    eventually(lambda: board.current() == OLD.release and holder(board.layout.lock) is None)
    eventually(lambda: not board.processes())
    assert_whole(board.home, "echo", {OLD.release})


def test_what_it_goes_back_to_is_neither_collected_nor_removed(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW)
        agent.push(NEWER, confirm_within_s=LONG)
        agent.push(app("4.0.0"), confirm_within_s=LONG)
        assert f"echo {NEW.release}" not in agent.gc(keep=1)["removed"]
        with pytest.raises(DeviceError, match="goes back to unless"):
            agent.remove("echo", NEW.release)


def test_the_same_release_again(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        again = agent.push(NEW)
        assert again.already_current
        assert again.pending is not None, "a push that does nothing confirms nothing"
        assert agent.push(NEW, confirm_within_s=2 * LONG, force=True).pending is not None
        assert agent.status()["apps"]["echo"]["pending"]["within_s"] == 2 * LONG
        assert agent.status()["apps"]["echo"]["pending"]["previous"] == OLD.release
        assert agent.push(NEW, force=True).pending is None
        assert agent.push(NEW, confirm_within_s=LONG, force=True).pending is None, "there is nothing to go back to"


def test_that_the_release_was_current_already_is_said(board: Board) -> None:
    said: list[str] = []
    with on_old(board).session() as agent:
        done = agent.push(OLD, confirm_within_s=LONG, on_event=lambda _, told: said.append(str(told.get("text"))))
        assert (done.already_current, done.pending) == (True, None)
        assert said == [f"echo {OLD.release} was current already: the device will not go back from it by itself"]
        agent.push(NEW, confirm_within_s=LONG)
        said.clear()
        agent.push(NEW, confirm_within_s=LONG, on_event=lambda _, told: said.append(str(told.get("text"))))
        assert said == [], "it waits as it did"


def test_a_removed_app_leaves_no_watcher(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        agent.remove("echo")
    eventually(lambda: not board.processes())


def test_a_killed_watcher_is_replaced_at_the_next_contact(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
    (watching,) = board.processes()
    os.kill(watching, signal.SIGKILL)
    eventually(lambda: not board.processes())
    with board.session() as agent:
        assert agent.status()["apps"]["echo"]["pending"]["release"] == NEW.release
    assert len(board.processes()) == 1


def test_one_watcher_is_enough(board: Board) -> None:
    other = cargo("1.0.0", app="other", smoke=(), golden=False)
    with on_old(board).session() as agent:
        agent.push(other)
        agent.push(NEW, confirm_within_s=LONG)
        agent.push(cargo("2.0.0", app="other", smoke=(), golden=False), confirm_within_s=SHORT)
    assert len(board.processes()) == 1
    eventually(lambda: board.current("other") == other.release)
    assert board.current() == NEW.release
    assert len(board.processes()) == 1


def test_due_after_a_power_cut_it_goes_back_at_the_first_contact(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=SHORT)
        board.kill_all_but(agent._link.pid)  # type: ignore[attr-defined]
    board.restart("second-boot")
    found = pending.read(board.layout, "echo")
    assert found is not None
    pending.write(board.layout, "echo", replace(found, used_s=SHORT))
    with board.session() as agent:
        assert agent.status()["apps"]["echo"]["current"] == OLD.release
        with pytest.raises(NotPending):
            agent.confirm()


def test_the_watcher_can_be_ended_while_somebody_holds_the_lock(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
    served = Served(board.layout, {}, {"id": "x"}, runner=fake_runner)
    with locked(board.layout.lock, {}, "removal of lading"):
        assert watcher.end(served)
        assert not board.processes()
        assert not watcher.end(served)


# Time: by the boot and its clock.


class Clock:
    """A device's boot and its clock, in a test's hand."""

    def __init__(self, home: Path) -> None:
        self.boot, self.now = "one", 100.0
        around = Surroundings(command=("/bin/false",), boot_id=lambda: self.boot, clock=lambda: self.now)
        self.layout = Board(home).layout
        self.served = Served(self.layout, {}, {"id": "x"}, runner=fake_runner, emulated=True, surroundings=around)


@pytest.fixture
def clock(board: Board, tmp_path: Path) -> Clock:
    """A device on NEW, which waits for 100 seconds."""
    with on_old(board).session() as agent:
        agent.push(NEW)
    made = Clock(tmp_path)
    pending.write(board.layout, "echo", Pending(NEW.release, OLD.release, 100.0, 0.0, "one", 100.0))
    return made


def left(clock: Clock) -> float:
    found = pending.read(clock.layout, "echo")
    assert found is not None
    return found.left(clock.served.surroundings)


def test_time_passes_within_a_boot(clock: Clock, board: Board) -> None:
    clock.now += 60
    assert goback.look(clock.served) is not None
    assert left(clock) == 40
    clock.now += 39
    assert goback.look(clock.served) == 1
    clock.now += 1
    assert goback.look(clock.served) is None
    assert board.current() == OLD.release


def test_time_that_was_recorded_counts_after_a_restart_and_the_rest_goes_on(clock: Clock, board: Board) -> None:
    clock.now += 60
    goback.look(clock.served)
    clock.boot, clock.now = "two", 5.0
    assert goback.look(clock.served) is not None
    assert left(clock) == 40
    clock.now += 39.5
    assert goback.look(clock.served) == pytest.approx(0.5)
    clock.now += 1
    goback.look(clock.served)
    assert board.current() == OLD.release


def test_a_clock_that_stands_still_or_goes_back_does_no_harm(clock: Clock) -> None:
    clock.now = 3.0
    goback.look(clock.served)
    assert left(clock) == 100


def test_a_device_that_restarts_over_and_over_goes_back(clock: Clock, board: Board) -> None:
    for boot in range(MAX_BOOTS):
        assert board.current() == NEW.release
        clock.boot, clock.now = f"boot {boot}", 1.0
        goback.look(clock.served)
    assert board.current() == OLD.release
    assert f"restarted {MAX_BOOTS} times" in last(board)["why"]


def test_looking_writes_seldom(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[float] = []
    real = pending.write

    def write(*args: Any) -> None:
        written.append(clock.now)
        real(*args)

    monkeypatch.setattr(pending, "write", write)
    for _ in range(90):
        clock.now += 1
        goback.look(clock.served)
    assert len(written) <= 90 / 5 + 1


def test_going_back_waits_for_whoever_is_at_work(clock: Clock, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading_agent.store.lock.SWEEP_PATIENCE_S", 0.0)
    clock.now += 200
    with locked(board.layout.lock, {}, "push of echo"), pytest.raises(AgentError, match="locked"):
        goback.look(clock.served)
    assert board.current() == NEW.release
    goback.look(clock.served)
    assert board.current() == OLD.release


def test_an_app_of_which_nothing_can_be_written_down_keeps_no_other_from_going_back(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    olds, news = (app(version, app="another") for version in ("1.0.0", "2.0.0"))
    with board.session() as agent:
        for release in (OLD, NEW, olds, news):
            agent.push(release)
    clock = Clock(tmp_path)
    pending.write(board.layout, "echo", Pending(NEW.release, OLD.release, 100.0, 0.0, "one", 100.0))
    pending.write(board.layout, "another", Pending(news.release, olds.release, 500.0, 0.0, "one", 100.0))
    real = pending.write

    def write(layout: Layout, name: str, found: Pending) -> None:
        if name == "another":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(layout, name, found)

    monkeypatch.setattr(pending, "write", write)
    clock.now += 200
    with pytest.raises(OSError, match="space"):
        goback.look(clock.served)
    assert board.current("echo") == OLD.release
    assert board.current("another") == news.release


def test_where_the_old_one_is_damaged_the_new_one_stays_and_that_is_said(clock: Clock, board: Board) -> None:
    old = Releases(board.layout, "echo").read(OLD.release)
    assert old is not None
    for digest in set(old.blobs) - set(NEW.contents):
        board.layout.blob(digest).unlink()
    clock.now += 200
    assert goback.look(clock.served) is None
    assert board.current() == NEW.release
    assert last(board)["action"] == "kept"
    assert "not whole" in last(board)["why"]


def test_nonsense_in_its_file_is_nothing(clock: Clock, board: Board) -> None:
    for text in ("", "{", "[]", '{"schema": 1}', '{"schema": 1, "release": 3, "previous": null, "within_s": "x"}'):
        pending.path_of(board.layout, "echo").write_text(text)
        assert goback.look(clock.served) is None
        assert not pending.path_of(board.layout, "echo").exists()
    attend.attend(clock.served)


# Kill matrices.


def settled(board: Board, allowed: set[str | None]) -> str | None:
    """Whatever happened: the store is whole, the next contact puts all in order, the next push succeeds."""
    assert_whole(board.home, "echo", allowed)
    with board.session() as agent:
        current = assert_whole(board.home, "echo", allowed)
        agent.push(NEWER)
    eventually(lambda: not board.processes())
    assert_whole(board.home, "echo", {NEWER.release})
    assert_no_garbage(board.home)
    return current


def killed(board: Board, step: str) -> None:
    with board.session("--kill", step) as agent, pytest.raises(LadingError):
        agent.push(NEW, confirm_within_s=LONG)


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_of_the_agent_at_each_step_of_a_push_on_probation(board: Board, step: str) -> None:
    killed(on_old(board), step)
    switched = STEPS.index(step) > SWITCHED
    found = pending.read(board.layout, "echo")
    assert (found is not None) == switched, "there is no moment at which it is current and nobody would go back"
    settled(board, {NEW.release if switched else OLD.release})


@pytest.mark.parametrize("step", STEPS[SWITCHED + 1 :])
def test_a_power_cut_after_the_switch_goes_back_in_the_next_boot(board: Board, step: str) -> None:
    killed(on_old(board), step)
    board.restart("second-boot")
    found = pending.read(board.layout, "echo")
    assert found is not None
    pending.write(board.layout, "echo", replace(found, within_s=0.01))
    with board.session():
        pass
    eventually(lambda: board.current() == OLD.release and holder(board.layout.lock) is None)
    assert settled(board, {OLD.release}) == OLD.release


@pytest.mark.parametrize("step", ["pending", "pending-boot", "pending-watch", "switch-link", "switch-rename"])
def test_an_unconfirmed_release_stays_unconfirmed_when_its_successor_does_not_come(board: Board, step: str) -> None:
    with on_old(board).session() as agent:
        agent.push(app("1.5.0"), confirm_within_s=LONG)
    killed(board, step)
    found = pending.read(board.layout, "echo")
    assert found is not None
    assert (found.release, found.previous) == (app("1.5.0").release, OLD.release)
    with board.session() as agent:
        assert agent.status()["apps"]["echo"]["pending"]["release"] == app("1.5.0").release
        agent.confirm()
    settled(board, {app("1.5.0").release})


@pytest.mark.parametrize("step", REVERT_STEPS)
def test_sigkill_of_the_watcher_at_each_step_of_going_back(board: Board, step: str) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
    board.kill_all()
    found = pending.read(board.layout, "echo")
    assert found is not None
    pending.write(board.layout, "echo", replace(found, within_s=0.01))
    words = [*board.command, "--kill", step, "watch", "--home", str(board.home)]
    link = ProcessLink(words, "the watcher")
    link.close()
    assert not board.processes()
    assert_whole(board.home, "echo", {OLD.release, NEW.release})
    with board.session() as agent:  # whoever comes next finishes it
        assert agent.status()["apps"]["echo"]["current"] == OLD.release
        assert agent.status()["apps"]["echo"]["pending"] is None
        history = [(entry["action"], entry["release"]) for entry in agent.releases()["history"]]
    assert history == [("push", OLD.release), ("push", NEW.release), ("revert", OLD.release)]
    settled(board, {OLD.release})


@pytest.mark.parametrize("step", ["pending", "pending-boot", "pending-watch", "switch-link", "switch-sync", "settle"])
def test_a_fault_at_a_step_leaves_nothing_waiting_that_is_not_current(board: Board, step: str) -> None:
    with on_old(board).session("--fail", step) as agent, pytest.raises(DeviceError):
        agent.push(NEW, confirm_within_s=LONG)
    found = pending.read(board.layout, "echo")
    assert (found is not None) == (board.current() == NEW.release)
    if found is None:
        assert not pending.path_of(board.layout, "echo").exists()
    settled(board, {NEW.release if STEPS.index(step) > SWITCHED else OLD.release})


def test_the_watcher_ends_soon_after_the_end_of_the_waiting(board: Board) -> None:
    with on_old(board).session() as agent:
        agent.push(NEW, confirm_within_s=LONG)
        begin = time.monotonic()
        agent.confirm()
        eventually(lambda: len(board.processes()) == 1)  # the agent of this very session
        assert time.monotonic() - begin < 60
