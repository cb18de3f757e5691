"""Services: up with the device, up again after a failure, on the release that is current."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lading.client import Session
from lading.client.events import Log, Output
from lading.errors import DeviceError, NoService, NoSuchApp
from lading_agent.keep import service_state, services
from lading_agent.keep.service import Pace
from lading_agent.keep.surroundings import Surroundings
from lading_agent.serve.device import Served
from lading_agent.store.releases import Releases
from tests.lading_agent.keep.test_boot import System
from tests.support.cargo import Cargo, cargo
from tests.support.keeping import Board, eventually
from tests.support.local_agent import PROFILE, TARGET, LocalLink, fake_runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def app(version: str = "1.0.0", **module: Any) -> Cargo:
    return cargo(version, module=module, smoke=(), golden=False)


UP = app(stdout="up\n", do="spin")
ALSO_UP = app("2.0.0", stdout="also up\n", do="spin")
FAILS = app("3.0.0", stderr="no sensor\n", status=9)


def state(board: Board) -> Any:
    return service_state.read(board.layout, "echo")


def is_up(board: Board, release: str) -> bool:
    found = state(board)
    return found is not None and (found.state, found.release) == ("running", release)


def test_patience_doubles_to_a_minute() -> None:
    pace = Pace()
    assert [pace.wait_s(n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pace.wait_s(10**6) == 60


def test_enabled_it_runs_without_a_connection_and_disabled_nothing_is_left(board: Board) -> None:
    with board.session() as agent:
        with pytest.raises(NoSuchApp):
            agent.service("enable", "echo")
        agent.push(UP)
        told = agent.service("enable", "echo")
        assert (told["enabled"], told["how"], told["changed"]) == (True, "agent", True)
    eventually(lambda: is_up(board, UP.release))
    with board.session() as agent:
        told = agent.service("status")
        assert told["running_s"] >= 0
        assert told["state"] == "running"
        assert agent.status()["apps"]["echo"]["service"]["state"] == "running"
        events: list[Any] = []
        eventually(lambda: agent.logs(on_event=events.append) and events)
        assert events[0] == Output(1, b"up\n")
        with pytest.raises(DeviceError, match="service of echo is enabled"):
            agent.remove("echo")
        assert agent.service("disable")["changed"]
        assert not agent.service("disable")["changed"]
    assert board.processes() == []
    assert not service_state.folder(board.layout, "echo").exists()


def test_it_has_no_time_limit_unless_the_app_has_one(board: Board) -> None:
    limited = cargo("2.0.0", module={"do": "spin"}, smoke=(), golden=False, timeout_s=0.1)
    with board.session() as agent:
        agent.push(app(do="show-spec"))
        agent.service("enable")
        eventually(lambda: state(board).state == "finished")
        events: list[Any] = []
        agent.logs(on_event=events.append)
        assert b'"time_s": null' in b"".join(event.data for event in events if isinstance(event, Output))
        agent.push(limited)
    eventually(lambda: state(board).last_exit["kind"] == "time-limit")


def test_it_follows_a_deploy_and_a_rollback(board: Board) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.service("enable")
        eventually(lambda: is_up(board, UP.release))
        agent.push(ALSO_UP)
        eventually(lambda: is_up(board, ALSO_UP.release))
        agent.rollback("echo")
        eventually(lambda: is_up(board, UP.release))
        assert state(board).restarts == 0
        assert agent.gc(keep=1)["removed"] == [f"echo {ALSO_UP.release}"]


def test_one_that_ended_well_waits_for_the_next_release(board: Board) -> None:
    with board.session() as agent:
        agent.push(app(stdout="done\n"))
        agent.service("enable")
        eventually(lambda: state(board).state == "finished")
        assert state(board).last_exit["status"] == 0
        agent.push(ALSO_UP)
        eventually(lambda: is_up(board, ALSO_UP.release))


def test_one_that_fails_is_started_again_and_again(board: Board) -> None:
    with board.session() as agent:
        agent.push(FAILS)
        agent.service("enable")
        eventually(lambda: state(board).restarts >= 4)
        told = agent.service("status")
        assert told["last_exit"]["status"] == 9
        events: list[Any] = []
        agent.logs(on_event=events.append)
        assert any(isinstance(event, Log) and "ended after" in event.text for event in events)
        agent.push(UP)
        eventually(lambda: is_up(board, UP.release))


def test_a_first_release_that_fails_is_not_gone_back_from(board: Board) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.push(FAILS)
        agent.service("enable")  # it was current long before: nobody has just switched to it
        eventually(lambda: state(board).restarts >= 5)
    assert board.current() == FAILS.release


def test_three_failed_starts_after_a_switch_go_back(board: Board) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.service("enable")
        eventually(lambda: is_up(board, UP.release))
        agent.push(FAILS)
        eventually(lambda: is_up(board, UP.release) and board.history()[-1] == "revert")
        why = Releases(board.layout, "echo").history()[-1]["why"]
        assert "failed 3 times in a row" in why
        assert "status 9" in why
        assert agent.releases()["current"] == UP.release


def test_three_failed_starts_of_a_release_on_probation_go_back_at_once(board: Board) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.service("enable")
        agent.push(app("3.0.0", do="segv"), confirm_within_s=600)
        eventually(lambda: is_up(board, UP.release) and board.history()[-1] == "revert")
        assert agent.status()["apps"]["echo"]["pending"] is None


def test_one_that_stood_is_not_gone_back_from(tmp_path: Path) -> None:
    board = Board(tmp_path, pace="0.01,0.0")  # whatever ran at all has stood
    try:
        with board.session() as agent:
            agent.push(UP)
            agent.service("enable")
            eventually(lambda: is_up(board, UP.release))
            agent.push(FAILS)
            eventually(lambda: state(board).restarts >= 5)
        assert board.current() == FAILS.release
    finally:
        board.end()


def test_the_device_does_not_go_back_and_forth(board: Board) -> None:
    with board.session() as agent:
        agent.push(FAILS)
        agent.service("enable")
        eventually(lambda: state(board).restarts >= 1)
        agent.push(app("4.0.0", status=8))
        eventually(lambda: board.history()[-1] == "revert")
        restarts = state(board).restarts
        eventually(lambda: state(board).restarts >= restarts + 4)
    assert board.history() == ["push", "push", "revert"]
    assert board.current() == FAILS.release


def test_stopped_by_hand_it_stays_so_until_the_device_restarts(board: Board) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.service("enable")
        eventually(lambda: is_up(board, UP.release))
        assert agent.stop() == {"app": "echo", "stopped": [], "service": True}
        assert agent.service("status")["state"] == "stopped"
    with board.session() as agent:
        assert agent.service("status")["state"] == "stopped"
    board.restart("second-boot")
    with board.session():
        eventually(lambda: is_up(board, UP.release))


@pytest.mark.parametrize("release", [UP, FAILS], ids=["running", "failing"])
def test_a_killed_loop_is_noticed_and_started_again(board: Board, release: Cargo) -> None:
    with board.session() as agent:
        agent.push(release)
        agent.service("enable")
        pid = eventually(lambda: state(board).last_exit or is_up(board, UP.release)) and state(board).process.pid
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: agent.service("status")["state"] == "died")
    with board.session() as agent:
        eventually(lambda: agent.service("status")["pid"] not in (None, pid))


def test_following_a_service_ends_when_it_is_stopped(board: Board) -> None:
    with board.session() as agent, board.session() as other:
        agent.push(UP)
        agent.service("enable")
        seen: list[Any] = []

        def take(event: Any) -> None:
            if not seen:
                other.stop()
            seen.append(event)

        assert agent.logs(run="service", follow=True, on_event=take)["state"] == "stopped"
        assert seen[0] == Output(1, b"up\n")


# On devices that start things by themselves.


@pytest.fixture
def linux(tmp_path: Path, board: Board) -> Iterator[Any]:
    """A session with a device that is not emulated, over a system of its own; both, in a function's answer."""
    opened: list[Session] = []

    def start(*programs: str, **environment: str) -> tuple[Session, System]:
        system = System(tmp_path, *programs)
        system.environment.update(environment)
        around = Surroundings(command=tuple(board.command), environment={**os.environ, **system.environment})
        served = Served(board.layout, TARGET, PROFILE, runner=fake_runner, surroundings=around)
        opened.append(Session(LocalLink(served)))
        return opened[0], system

    # What is started reads the device from its file.
    with board.session():
        pass
    yield start
    for session in opened:
        session.close()


def test_with_systemd(linux: Any) -> None:
    agent, system = linux("systemctl", "loginctl")
    agent.push(UP)
    told = agent.service("enable", "echo")
    unit = system.unit.with_name("lading-echo.service")
    assert (told["how"], told["where"], told["linger"], told["notes"]) == ("systemd", str(unit), True, [])
    assert "--app echo" in unit.read_text()
    agent.service("disable")
    assert not unit.exists()
    assert not system.linger.exists(), "what was switched on for it is switched off with it"
    assert "systemctl --user enable --now lading-echo.service" in system.calls()


def test_linger_that_was_there_stays_and_one_that_root_must_give_is_told(linux: Any) -> None:
    agent, system = linux("systemctl", "loginctl", ROOT_ONLY="yes")
    agent.push(UP)
    (note,) = agent.service("enable")["notes"]
    assert "sudo loginctl enable-linger" in note
    system.linger.write_text("yes\n")
    assert agent.service("enable")["notes"] == []
    agent.service("disable")
    assert system.linger.exists()


def test_linger_goes_with_the_last_service(linux: Any) -> None:
    agent, system = linux("systemctl", "loginctl")
    agent.push(UP)
    agent.push(cargo("1.0.0", app="other", smoke=(), golden=False))
    for name in ("echo", "other"):
        agent.service("enable", name)
    agent.service("disable", "echo")
    assert system.linger.exists()
    agent.service("disable", "other")
    assert not system.linger.exists()


def test_with_cron_the_agent_starts_it_now(linux: Any, board: Board) -> None:
    agent, system = linux("crontab")
    agent.push(UP)
    assert agent.service("enable")["how"] == "cron"
    assert "--app echo" in system.table.read_text()
    eventually(lambda: is_up(board, UP.release))
    agent.service("disable")
    assert system.table.read_text() == ""


def test_with_neither_it_is_refused_and_nothing_is_left(linux: Any, board: Board) -> None:
    agent, _ = linux()
    agent.push(UP)
    with pytest.raises(NoService, match="can start nothing by itself: no systemctl; no crontab"):
        agent.service("enable")
    assert service_state.enabled(board.layout, "echo") is None
    assert agent.service("disable")["changed"] is False, "it never was"


def test_a_refusal_of_systemd_leaves_nothing(linux: Any, board: Board) -> None:
    agent, system = linux("systemctl", "loginctl", REFUSE="yes")
    agent.push(UP)
    with pytest.raises(DeviceError, match="masked"):
        agent.service("enable")
    assert service_state.enabled(board.layout, "echo") is None
    assert not system.unit.with_name("lading-echo.service").exists()
    assert agent.service("disable")["changed"] is False


def test_a_service_of_which_nothing_readable_is_written_down_is_taken_away_whole(linux: Any, board: Board) -> None:
    agent, system = linux("systemctl", "loginctl")
    agent.push(UP)
    agent.service("enable")
    (service_state.folder(board.layout, "echo") / "enabled.json").write_text("{}")
    unit = system.unit.with_name("lading-echo.service")
    assert unit.exists()
    assert agent.service("disable")["changed"] is True
    assert not unit.exists()
    assert agent.service("disable")["changed"] is False


def test_the_unit_of_another_folder_is_left_alone(linux: Any, board: Board) -> None:
    agent, system = linux("systemctl", "loginctl")
    agent.push(UP)
    unit = system.unit.with_name("lading-echo.service")
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text("# of somebody else\n")
    with pytest.raises(DeviceError, match="is not of this folder"):
        agent.service("enable")
    service_state.folder(board.layout, "echo").mkdir(parents=True)
    agent.service("disable")
    assert unit.read_text() == "# of somebody else\n"


def test_a_pending_release_has_a_watcher_at_the_devices_start_as_long_as_it_waits(linux: Any, board: Board) -> None:
    agent, system = linux("systemctl", "loginctl")
    agent.push(UP)
    warned: list[str] = []
    agent.push(ALSO_UP, confirm_within_s=600, on_event=lambda _, members: warned.append(str(members.get("text"))))
    (unit,) = system.unit.parent.iterdir()
    assert unit.name.startswith("lading_pending-")
    assert " watch --home " in unit.read_text()
    assert "sudo loginctl enable-linger" in warned[0], "nobody switches it on for a while"
    agent.confirm()
    eventually(lambda: not list(system.unit.parent.iterdir()))
    eventually(lambda: not board.processes())


def test_where_nothing_starts_by_itself_that_is_said_at_the_push(linux: Any) -> None:
    agent, _ = linux()
    agent.push(UP)
    said: list[tuple[str, str]] = []
    agent.push(
        ALSO_UP, confirm_within_s=600, on_event=lambda _, told: said.append((str(told["level"]), str(told["text"])))
    )
    assert said[0][0] == "warning"
    assert "goes back at the next contact only" in said[0][1]
    agent.confirm()


def test_what_was_enabled_with_something_that_is_gone_is_named(board: Board, tmp_path: Path) -> None:
    with board.session() as agent:
        agent.push(UP)
        agent.service("enable")
        agent.stop()
    found = service_state.enabled(board.layout, "echo")
    assert found is not None
    service_state.write_enabled(board.layout, "echo", replace(found, how="systemd"))
    around = Surroundings(environment=System(tmp_path).environment)
    served = Served(board.layout, TARGET, PROFILE, runner=fake_runner, surroundings=around)
    with pytest.raises(Exception, match="enabled with systemd, which the device has no more"):
        services.disable(served, "echo")
