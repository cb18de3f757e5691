"""Boards with a login console, as tests of whole pushes over it want them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading.links.serial_port import SerialPort
from tests.support.command import Lading
from tests.support.console import ConsoleDevice, session_of, wait_until
from tests.support.local_host import SYSTEM_PATH

if TYPE_CHECKING:
    from lading.client import Session
    from lading_agent.line.endpoint import LineSettings

HOME = ".local/share/lading"
SHELL = ("bash", "--norc", "-i")


def at(folder: Path, cache: Path) -> Lading:
    """The command, without a network, its home in ``folder``."""
    (folder / "client").mkdir(exist_ok=True, parents=True)
    (folder / "here").mkdir(exist_ok=True)
    return Lading(folder / "client", folder / "here", {"XDG_CACHE_HOME": str(cache), "PIP_NO_INDEX": "1"})


def board_on(home: Path, *line: str) -> ConsoleDevice:
    """A board whose shell finds the system's programs and a Python without packages."""
    return ConsoleDevice(home, *line, command=SHELL, PATH=SYSTEM_PATH)


def app_name(app: Path) -> str:
    return str(tomllib.loads((app / "lading.toml").read_text())["app"]["name"])


def assert_shell(board: ConsoleDevice) -> None:
    """The console is a user's: it echoes, edits lines, and a shell answers."""
    port = SerialPort(board.line.computer, board.address, baud=115200)
    heard = bytearray()
    try:
        port.write(b"stty -a; echo all-$((40+2))\n")
        wait_until(lambda: hear(port, heard, b"all-42"), "no shell answers")
    finally:
        port.close()
    words = bytes(heard).replace(b";", b" ").split()
    assert {b"icanon", b"echo", b"isig", b"opost"} <= set(words)


def hear(port: SerialPort, heard: bytearray, word: bytes) -> bool:
    heard += port.read(4096, 0.2)
    return word in heard


def release_state(board: ConsoleDevice, app: str) -> str:
    current = board.home / HOME / "apps" / app / "current"
    return current.readlink().name if current.is_symlink() else "none"


def process_of(board: ConsoleDevice, word: str) -> int | None:
    """The process at a console whose command line has a word; None when there is none."""
    for pid in session_of(board.program.pid):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            return pid
    return None


def agent_of(board: ConsoleDevice) -> int:
    """The process id of the agent that serves the client."""
    return process_of(board, "serve") or pytest.fail("no agent runs")


def open_session(board: ConsoleDevice, settings: LineSettings) -> tuple[Session, SerialPort]:
    """A session in this process, as ``connect`` opens it, with other times for the line layer."""
    from lading.bootstrap import agent_link
    from lading.bootstrap.cargo import load_cargo
    from lading.client import Session
    from lading.links.console_host import ConsoleHost

    cargo = load_cargo()
    port = SerialPort(board.line.computer, board.address, baud=115200)
    host = ConsoleHost(port, agent=f'"$HOME/{HOME}/agent/{cargo.file_name}"', settings=settings)
    try:
        link = agent_link(host, cargo=cargo)
    except BaseException:
        host.close()
        raise
    link.then(host.close)
    return Session(link), port


def staged_bytes(home: Path) -> int:
    total = 0
    for path in home.rglob("*"):
        if "staging" in path.parts or "incoming" in path.parts:
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
    return total
