"""Runs on microcontrollers: the commands of the profile, what they write as it comes, the status they return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lading.client.events import Output, Started
from lading.errors import CannotRun, NoSuchRelease, SmokeFailed, Unsupported
from lading_agent.bill import Smoke
from tests.support.firmware import session, small
from tests.support.smp_server import Board, SmpServer
from tests.support.zephyr import Zephyr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = ["ld", "run", "{app}", "{release}", "{slot}", "{file}", "{args}"]


class Guest:
    """A shell whose guest writes some pieces and ends with a status."""

    def __init__(self, *pieces: str, status: int = 0) -> None:
        self.pieces = list(pieces)
        self.status = status
        self.endless = False

    def __call__(self, words: list[str]) -> tuple[str, int]:
        match words[:2]:
            case ["ld", "run"]:
                return "\r\nbegun\r\n", 0
            case ["ld", "output"]:
                if self.pieces or self.endless:
                    return (self.pieces.pop(0) if self.pieces else ""), -11
                return "", self.status
            case ["ld", "stop"]:
                self.endless = False
                return "", 0
        return f"\r\n\x1b[1;31m{words[0]}: command not found\r\n\x1b[m", -8


def with_board(shell: Callable[[list[str]], tuple[str, int]], work: Callable[[Any], Any], **mcu: Any) -> Board:
    board = Board(shell)
    with SmpServer(board.reply) as server, session(server.address, answer_s=1.0, **mcu) as device:
        work(device)
    return board


def test_output_comes_piece_by_piece_and_the_end_has_a_status() -> None:
    said: list[bytes] = []

    def work(device: Any) -> None:
        device.push(small("1.0.0"))
        result = device.run(args=["x", "y z"], on_event=lambda e: said.append(getattr(e, "data", b"started")))
        assert (result.outcome, result.kind, result.status) == ("exit", "exit", 7)
        assert (result.app, result.release) == ("echo", small("1.0.0").release)

    board = with_board(Guest("a\r\n", "", "b\r\n", status=7), work, run=RUN, output=["ld", "output"])
    assert said == [b"started", b"begun\n", b"a\n", b"b\n"]
    release = small("1.0.0").release
    assert board.commands[0] == ["ld", "run", "echo", release, "0", "/lfs1/ld00", "x", "y z"]


def test_without_arguments_the_app_s_own_are_given() -> None:
    board = with_board(Guest(), lambda d: (d.push(small("1.0.0")), d.run()), run=["ld", "run", "{args}"])
    assert board.commands == [["ld", "run", "image"]]


def test_a_run_over_its_time_is_stopped() -> None:
    guest = Guest()
    guest.endless = True

    def work(device: Any) -> None:
        device.push(small("1.0.0"))
        result = device.run(timeout_s=0.3)
        assert (result.outcome, result.status, result.kind) == ("failed", 125, "time-limit")
        assert result.remedy

    board = with_board(guest, work, run=["ld", "run"], output=["ld", "output"], stop=["ld", "stop", "{app}"])
    assert board.commands[-1] == ["ld", "stop", "echo"]


def test_a_command_that_the_firmware_does_not_have_is_named() -> None:
    def work(device: Any) -> None:
        device.push(small("1.0.0"))
        with pytest.raises(CannotRun, match="`nosuch`") as error:
            device.run()
        assert error.value.run_status == 126

    with_board(Guest(), work, run=["nosuch"])


def test_what_the_profile_does_not_name_is_refused_with_the_key() -> None:
    def work(device: Any) -> None:
        device.push(small("1.0.0"))
        for verb, ask in (("run", device.run), ("stop", device.stop)):
            with pytest.raises(Unsupported) as error:
                ask()
            assert f"key {verb}" in error.value.remedy

    with_board(Guest(), work)


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d.run_detached(),
        lambda d: d.logs(on_event=print),
        lambda d: d.service("enable"),
        lambda d: d.confirm(),
        lambda d: d.fetch("echo", "/var/x", print),
        lambda d: d.push(small("1.0.0"), confirm_within_s=5.0),
        lambda d: d.run(env={"A": "1"}),
        lambda d: d.run(memory_bytes=1),
        lambda d: d.stop(run="3"),
        lambda d: d.probe([b""]),
    ],
)
def test_what_a_microcontroller_cannot_do_is_said_plainly(ask: Callable[[Any], Any]) -> None:
    def work(device: Any) -> None:
        with pytest.raises(Unsupported, match="a microcontroller cannot") as error:
            ask(device)
        assert error.value.remedy

    with_board(Guest(), work, run=["ld", "run"])


def test_smoke_runs_come_before_the_switch_where_a_release_can_be_named() -> None:
    asked: list[str] = []

    def shell(words: list[str]) -> tuple[str, int]:
        asked.append(words[2])
        return ("fine" if words[2].startswith("1") else "bad"), 0

    smoke = (Smoke(args=("--self-test",), stdout="fi+ne"),)

    def work(device: Any) -> None:
        pushed = device.push(small("1.0.0", smoke=smoke))
        assert [s["ok"] for s in pushed.smoke] == [True]
        with pytest.raises(SmokeFailed) as error:
            device.push(small("2.0.0", smoke=smoke))
        assert error.value.details["current"] == pushed.release
        assert device.releases()["releases"][0]["release"] == pushed.release
        assert len(device.releases()["releases"]) == 1

    board = with_board(shell, work, run=["ld", "run", "{release}", "{args}"])
    assert len(asked) == 2
    assert board.files["/lfs1/ld01"] == b"\0"  # given back


def test_smoke_runs_come_after_the_switch_elsewhere_and_a_bad_one_switches_back() -> None:
    code = [0]
    smoke = (Smoke(exit=0),)

    def work(device: Any) -> None:
        first = device.push(small("1.0.0", smoke=smoke))
        code[0] = 3
        with pytest.raises(SmokeFailed, match="ended with 3 instead of 0") as error:
            device.push(small("2.0.0", smoke=smoke))
        assert error.value.details["current"] == first.release
        assert device.releases()["current"] == first.release
        with pytest.raises(NoSuchRelease):
            device.rollback()

    with_board(lambda words: ("", code[0]), work, run=["ld", "run"])


def test_run_and_stop_on_zephyr_s_own_shell(tmp_path: Path) -> None:
    events: list[Any] = []
    stock: dict[str, Any] = {"run": ["kernel", "version"], "stop": ["kernel", "uptime"], "storage_bytes": 8192}
    with Zephyr("serial", tmp_path) as board, session(board.address, answer_s=1.0, **stock) as device:
        device.push(small("1.0.0", 100, smoke=(Smoke(stdout=r"Zephyr version \d"),)))
        result = device.run(on_event=events.append)
        assert result.status == 0
        assert [type(event) for event in events] == [Started, Output]
        assert events[1].data == b"Zephyr version 4.4.0\n"
        assert device.stop()["stopped"][0]["release"] == result.release
