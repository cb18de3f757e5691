"""What is known of a board that runs, or does not any more."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading import targets
from lading.boards import control, machine
from lading.boards.control import Board
from lading.boards.identity import identity_of
from lading.boards.state import MARK, Running, State, started_at
from lading.errors import BoardBroken, BoardBusy, BoardDown
from lading.links.known_hosts import parse_line
from tests.support.keeping import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SLEEPS = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]


@pytest.fixture
def state(tmp_path: Path) -> State:
    folder = tmp_path / "state" / "debian-arm64"
    folder.mkdir(parents=True)
    return State("debian-arm64", folder)


@pytest.fixture
def sleeper(state: State) -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a board's machine."""
    environment = {**os.environ, MARK: str(state.folder)}
    with subprocess.Popen(SLEEPS, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def noted(process: subprocess.Popen[bytes]) -> Running:
    return Running(process.pid, started_at(process.pid) or 0, "image", 1, 2, ready=True)


def test_a_machine_whose_first_thread_has_ended_still_holds_its_files(state: State) -> None:
    left = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "print(flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", left], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            eventually(lambda: " Z " in Path(f"/proc/{process.pid}/stat").read_text())
            assert started_at(process.pid) is not None
        finally:
            process.kill()
        eventually(lambda: started_at(process.pid) is None)


def test_a_machine_is_known_as_long_as_its_process_runs(state: State, sleeper: subprocess.Popen[bytes]) -> None:
    assert state.running() is None
    state.write(noted(sleeper))
    assert state.running() == noted(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert state.running() is None


def test_another_process_with_the_number_of_a_machine_is_none(state: State) -> None:
    mine = Running(os.getpid(), started_at(os.getpid()) or 0, "image", ready=True)
    state.write(replace(mine, started=mine.started - 1))
    assert state.running() is None


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"pid": 1}', '{"pid": 1, "started": 2, "image": "", "odd": 3}', "\0\0"], ids=repr
)
def test_a_note_that_makes_no_sense_is_no_machine(state: State, text: str) -> None:
    (state.folder / "running.json").write_text(text)
    assert state.running() is None


def test_a_note_of_another_kind_of_value_is_no_machine(state: State) -> None:
    (state.folder / "running.json").write_text(json.dumps({"pid": -1, "started": None, "image": ""}))
    found = state.running()
    assert found is None or not found.ready


def test_processes_are_found_that_nobody_noted(state: State, sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    assert state.strays() == [sleeper.pid]
    assert State("other", tmp_path / "state" / "debian-arm64-2").strays() == []
    machine.end(sleeper.pid)
    assert state.strays() == []
    assert sleeper.wait() in (-signal.SIGKILL, 0)


def test_one_command_at_a_time(state: State) -> None:
    failures: list[BaseException] = []

    def other() -> None:
        try:
            with state.lock(patience_s=0.2):
                pass
        except BoardBusy as error:
            failures.append(error)

    with state.lock():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(failures) == 1
    with state.lock(patience_s=0.2):
        pass


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State) -> Board:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Board(targets.find("debian-arm64"), state)


def test_a_board_that_is_down_says_how_it_is_started(board: Board) -> None:
    with pytest.raises(BoardDown, match="is not up") as caught:
        control.running(board)
    assert caught.value.remedy == "start it: lading board up debian-arm64"
    assert caught.value.exit_status == 3
    assert not control.down(board)
    assert not control.power_cut(board)
    with pytest.raises(BoardDown):
        control.reset(board)


def test_what_a_killed_command_left_starting_is_no_board_and_is_ended(
    board: Board, sleeper: subprocess.Popen[bytes]
) -> None:
    board.state.write(replace(noted(sleeper), ready=False))
    with pytest.raises(BoardDown):
        control.running(board)
    assert not control.down(board)
    assert board.state.strays() == []
    sleeper.wait()
    assert not (board.state.folder / "running.json").exists()


def test_a_power_cut_ends_the_machine_at_once(board: Board, sleeper: subprocess.Popen[bytes]) -> None:
    board.state.write(noted(sleeper))
    assert control.power_cut(board)
    assert board.state.running() is None
    assert board.state.strays() == []


def test_a_disk_over_an_image_that_is_gone_is_not_started(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "build", lambda *_, **__: ("0" * 32, False))
    board.state.disk.write_bytes(b"disk")
    (board.state.folder / "image").write_text("f" * 32)
    with pytest.raises(BoardBroken, match="image that is gone") as caught:
        control.up(board)
    assert caught.value.remedy == "start with a fresh disk: lading board up debian-arm64 --fresh"


def test_an_identity_is_made_once_and_is_nobody_elses_to_read(state: State) -> None:
    made = identity_of(state.identity)
    key, password = made.client_key.read_text(), made.password
    assert identity_of(state.identity).client_key.read_text() == key
    assert identity_of(state.identity).password == password
    assert identity_of(state.folder / "other").password != password
    made.enrol("debian-arm64", 4022)
    for path in state.identity.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    line = parse_line(made.known_hosts.read_text(), made.known_hosts, 1)
    assert line is not None
    assert str(line.key) == made.fingerprint
    assert line.fits("[127.0.0.1]:4022")


def test_a_board_gets_its_identity_again_only_when_it_changed(state: State) -> None:
    made = identity_of(state.identity)
    assert made.for_board("a") == made.for_board("a")
    assert made.for_board("a")["mark"] != made.for_board("b")["mark"]
    assert made.password.encode() not in b"".join(made.for_board("a").values())
