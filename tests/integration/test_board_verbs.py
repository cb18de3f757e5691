"""``lading board``: a board is built, boots, is suspended, reset, cut off its power; and nothing is left of it."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lading.boards.state import started_at
from tests.integration.test_json import KEYS
from tests.support.command import COMMAND
from tests.support.documents import keys_of
from tests.support.keeping import eventually
from tests.support.qemu_boards import CACHE, QemuBoard, command, need_boards, players
from tests.support.terminal import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARD = "debian-arm64-small"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[QemuBoard]:
    """A board of the test's own, which may be down."""
    need_boards()
    made = QemuBoard(command(tmp_path), BOARD)
    yield made
    made.power_cut()
    assert players(made) == []


def said(board: QemuBoard, verb: str, *words: str) -> dict[str, Any]:
    """A verb's document, with all the keys that programs may count on."""
    document = board.lading.json("board", verb, *words)
    assert document["schema"] == f"lading.board-{verb}/1"
    assert set(KEYS[f"board-{verb}"]) <= keys_of(document)
    return document


def port_of(board: QemuBoard, kind: str) -> int:
    return int(board.said["addresses"][kind].partition("127.0.0.1:")[2].partition("?")[0])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def outside(board: QemuBoard) -> list[str]:
    """Files of the test's folder that are in neither the state's nor the command's current folder."""
    home = board.lading.home
    mine = home / "state" / "lading" / "boards"
    return [str(path) for path in home.rglob("*") if path.is_file() and mine not in path.parents]


def test_the_life_of_a_board(board: QemuBoard) -> None:
    lading = board.lading
    refused = lading("status", board.address, expect=3)
    assert f"lading board up {BOARD}" in refused.err

    told = said(board, "build", BOARD)
    assert (CACHE / "lading" / "boards" / told["image"] / "disk.qcow2").is_file()
    assert lading.json("board", "build", BOARD)["built"] is False

    first = board.up().said
    assert first["schema"] == "lading.board-up/1"
    assert (first["state"], first["already"], first["resumed"]) == ("up", False, False)
    assert first["host_key"].startswith("ssh-ed25519 SHA256:")
    assert players(board) == [first["pid"]]
    ports = [port_of(board, "ssh"), port_of(board, "console")]
    assert all(map(listening, ports))
    assert board.run("echo $USER; hostname").split() == ["user", BOARD]
    assert "1:" not in board.run("cat /proc/net/route | wc -l")
    board.run("echo kept >kept && sync")

    # It is up: nothing happens a second time, and it is listed.
    assert said(board, "up", BOARD)["already"] is True
    listed = {entry["board"]: entry for entry in said(board, "list")["boards"]}
    assert listed[BOARD]["state"] == "up"
    assert listed[BOARD]["addresses"] == first["addresses"]
    assert lading.json("board")["boards"][0]["board"] == "debian-arm64"
    assert first["addresses"]["ssh"] in lading("board", "list").out

    # The system's own ssh, with the board's key.
    done = lading("board", "ssh", BOARD, "--", "id", "-un", ";", "exit", "7", expect=7)
    assert done.out == "user\n"
    assert lading("board", "ssh", BOARD, "-l", "root", "--", "id", "-u").out == "0\n"

    # Suspended and resumed: the same boot goes on.
    boot = board.run("cat /proc/sys/kernel/random/boot_id")
    assert said(board, "down", BOARD, "--suspend")["suspended"] is True
    assert players(board) == []
    assert not any(map(listening, ports))
    assert {e["board"]: e["state"] for e in lading.json("board", "list")["boards"]}[BOARD] == "suspended"
    assert board.up().said["resumed"] is True
    assert board.said["host_key"] == first["host_key"]
    assert board.run("cat /proc/sys/kernel/random/boot_id") == boot
    assert abs(int(board.run("date +%s")) - time.time()) < 60, "its clock stood still"

    # Reset: another boot, what was on the disk is there.
    assert said(board, "reset", BOARD)["pid"] == board.said["pid"]
    assert board.run("cat /proc/sys/kernel/random/boot_id") != boot
    assert board.run("cat kept") == "kept\n"

    # Off, twice; then up with what it had, then fresh.
    assert lading.json("board", "down", BOARD)["was_up"] is True
    assert players(board) == []
    assert lading.json("board", "down", BOARD)["was_up"] is False
    assert board.up().said["host_key"] == first["host_key"]
    assert board.run("cat kept") == "kept\n"
    assert board.up("--fresh").said["host_key"] != first["host_key"]
    assert board.run("cat kept 2>/dev/null || echo gone") == "gone\n"

    assert said(board, "power-cut", BOARD)["was_up"] is True
    assert players(board) == []
    assert not (board.folder / "qmp").exists()
    assert lading.json("board", "power-cut", BOARD)["was_up"] is False
    assert outside(board) == []


def test_the_console_of_a_board_is_a_terminals(board: QemuBoard) -> None:
    board.up()
    refused = board.lading("board", "console", BOARD, expect=2)
    assert "terminal" in refused.err
    status, shown = answering(
        [str(COMMAND), "board", "console", BOARD],
        {**board.lading.environment(), "TERM": "vt100"},
        board.lading.cwd,
        [
            (b"login: ", b"user\r"),
            (b"assword: ", board.said["password"].encode() + b"\r"),
            (b"$ ", b"tty\r"),
            (b"/dev/ttyAMA0", b"exit\r"),
            (b"login: ", b"\x1d"),
        ],
    )
    assert status == 0, shown
    assert b"Ctrl-] leaves" in shown
    assert players(board) != [], "the board went with its console"


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_an_up_that_does_not_get_to_its_end_leaves_no_machine(board: QemuBoard, sent: signal.Signals) -> None:
    board.lading("board", "build", BOARD)
    with board.lading.start("board", "up", BOARD, "--json") as up:
        eventually(lambda: players(board) != [])
        up.send_signal(sent)
        up.communicate(timeout=120)
    assert up.returncode in (130, -signal.SIGKILL)
    if sent == signal.SIGKILL:
        assert players(board) != [], "whoever was killed cannot have cleaned up"
        assert board.lading.json("board", "list")["boards"]
        assert board.lading.json("board", "down", BOARD)["was_up"] is False
    assert players(board) == []
    board.up()


def test_a_machine_that_ended_by_itself_is_off_and_starts_again(board: QemuBoard) -> None:
    board.up()
    pid = board.said["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: started_at(pid) is None)
    assert "not up" in board.lading("status", board.address, expect=3).err
    assert board.up().said["already"] is False


def test_ports_of_others_are_left_to_them(board: QemuBoard) -> None:
    board.up()
    ssh = port_of(board, "ssh")
    board.lading("board", "down", BOARD)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", ssh))
        other.listen(1)
        board.up()
        assert port_of(board, "ssh") != ssh
    assert board.run("echo there") == "there\n"


def test_a_machine_that_does_not_boot_says_so_and_is_switched_off(board: QemuBoard, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "targets" / f"{BOARD}.toml").read_text()
    folder = board.lading.cwd / "targets"
    folder.mkdir()
    text = text.replace('cpu = "cortex-a53"', 'cpu = "cortex-a53"\nboot-arguments = "root=/dev/no"\npatience-s = 10')
    (folder / "broken.toml").write_text(text)
    broken = QemuBoard(board.lading, "broken")
    try:
        failed = board.lading("board", "up", "broken", expect=1)
        assert "its SSH server says nothing" in failed.err
        assert players(broken) == []
    finally:
        broken.power_cut()


def test_programs_that_are_missing_are_named(tmp_path: Path) -> None:
    lading = command(tmp_path)
    done = lading("board", "up", env={"PATH": str(tmp_path)}, expect=1)
    assert "sudo apt-get install" in done.err
    assert "qemu" in done.err
