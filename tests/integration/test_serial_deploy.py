"""The main path over a serial line: a board that has nothing but a login console."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.command import COMMAND, Lading
from tests.support.console import ConsoleDevice, session_of, wait_until
from tests.support.getty import PASSWORD, USER, getty
from tests.support.keeping import eventually
from tests.support.local_host import SYSTEM_PATH
from tests.support.port_server import serving
from tests.support.terminal import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lading.links.serial_port import SerialPort

HOME = ".local/share/lading"
SHELL = ("bash", "--norc", "-i")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines for all tests of this file: taken from the installed packages once."""
    return tmp_path_factory.mktemp("cache")


def at(folder: Path, cache: Path) -> Lading:
    """The command, without a network, its home in ``folder``."""
    (folder / "client").mkdir(exist_ok=True, parents=True)
    (folder / "here").mkdir(exist_ok=True)
    return Lading(folder / "client", folder / "here", {"XDG_CACHE_HOME": str(cache), "PIP_NO_INDEX": "1"})


@pytest.fixture
def lading(tmp_path: Path, cache: Path) -> Lading:
    return at(tmp_path, cache)


def board_on(home: Path, *line: str) -> ConsoleDevice:
    """A board whose shell finds the system's programs and a Python without packages."""
    return ConsoleDevice(home, *line, command=SHELL, PATH=SYSTEM_PATH)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cache: Path, digits_bundle: Path) -> Path:
    """A board's home as a first deploy over its console leaves it."""
    folder = tmp_path_factory.mktemp("made")
    device = board_on(folder / "board")
    try:
        done = at(folder, cache)("deploy", digits_bundle, device.address)
        assert "accuracy: 99 of 100" in done.out
        for said in ("looking at the device", "bringing the agent", "bringing the engines", "trying the engines"):
            assert said in done.err
    finally:
        device.close()
    return device.home


@pytest.fixture
def plug(made: Path, tmp_path: Path) -> Iterator[Callable[..., ConsoleDevice]]:
    """Starts boards that have had their first deploy."""
    devices: list[ConsoleDevice] = []

    def begin(*line: str) -> ConsoleDevice:
        home = tmp_path / f"board{len(devices)}"
        shutil.copytree(made, home, symlinks=True)
        devices.append(board_on(home, *line))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


@pytest.fixture
def board(plug: Callable[..., ConsoleDevice]) -> ConsoleDevice:
    return plug()


def test_a_first_deploy_leaves_nothing_outside_of_its_home(made: Path) -> None:
    assert [path.name for path in made.iterdir() if not path.name.startswith(".bash")] == [".local"]


def test_a_deploy_with_nothing_changed_sends_no_blob(lading: Lading, board: ConsoleDevice, digits_bundle: Path) -> None:
    done = lading.json("deploy", digits_bundle, board.address)["devices"][0]
    assert done["push"]["already_current"]
    assert done["push"]["sent_bytes"] == 0
    assert done["round_trips"] <= 3


def test_every_verb_of_the_main_path(lading: Lading, board: ConsoleDevice, tmp_path: Path) -> None:
    address = board.address
    first = write_app(tmp_path / "one", guests.says("hello\n"), version="1.0.0")
    second = write_app(tmp_path / "two", guests.says("hello\n"), version="2.0.0")
    lading("push", first, address)
    lading("push", second, address)
    status = lading.json("status", address)["apps"]
    (name,) = set(status) - {"digits"}
    assert status[name]["current"].startswith("2.0.0-")
    lading("rollback", address, name)
    assert lading.json("status", address)["apps"][name]["current"].startswith("1.0.0-")
    assert len(lading.json("releases", address, name)["releases"]) == 2
    lading("run", address, name)
    lading("remove", address, name)
    assert set(lading.json("status", address)["apps"]) == {"digits"}
    assert os.uname().machine in lading("probe", address).out


def test_runs_and_services_that_go_on_when_the_line_is_free_again(lading: Lading, tmp_path: Path, made: Path) -> None:
    """The shell is the user's between two verbs, and what was started goes on."""
    table = tmp_path / "crontab.txt"
    table.write_text("# mine\n")
    (tmp_path / "bin").mkdir()
    cron = tmp_path / "bin" / "crontab"
    cron.write_text(f"#!/bin/sh\ncase $1 in -l) cat {table} ;; -r) rm -f {table} ;; *) cat >{table} ;; esac\n")
    cron.chmod(0o755)
    shutil.copytree(made, tmp_path / "board", symlinks=True)
    board = ConsoleDevice(tmp_path / "board", command=SHELL, PATH=f"{tmp_path / 'bin'}:{SYSTEM_PATH}")
    address = board.address
    try:
        lading("push", write_app(tmp_path / "app", guests.says_and_spins("up\n")), address)
        assert "runs on" in lading("run", "--detach", address, "app").out
        assert_shell(board)
        eventually(lambda: lading("logs", address, "app").stdout == b"up\n")
        following = lading.start("logs", "-f", address, "app")
        assert following.stdout is not None
        assert following.stdout.read(3) == b"up\n"
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=120)
        assert following.returncode == 130
        assert_shell(board)
        assert "app: run 1 of 1.0.0-" in lading("status", address, "app").out
        assert "stopped run 1 of app" in lading("stop", address, "app").out
        assert lading.json("logs", address, "app")["kind"] == "stopped"
        lading("service", "enable", address, "app")
        assert lading.json("service", "status", address, "app")["enabled"]
        eventually(lambda: lading("logs", address, "app", "--run", "service").stdout.startswith(b"up\n"))
        lading("service", "disable", address, "app")
        assert table.read_text() == "# mine\n"
        lading("device", "add", "kitchen", address)
        lading("device", "remove", "kitchen", "--purge")
        assert not (board.home / HOME).exists()
        assert_shell(board)
    finally:
        lading("stop", address, expect=None)  # whatever failed: nothing goes on
        board.close()


def test_what_a_guest_wrote_is_fetched_and_old_releases_are_collected(
    lading: Lading, board: ConsoleDevice, tmp_path: Path
) -> None:
    address = board.address
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        module = guests.writes_a_file(f"note-{version}", version * 3000)
        lading("push", write_app(tmp_path / "app", module, version=version, state="/var"), address)
    lading("run", address, "app")
    lading("fetch", address, "app", "/var/note-3.0.0", "-o", tmp_path / "note")
    assert (tmp_path / "note").read_text() == "3.0.0" * 3000
    lading("confirm", address, "app", expect=1)
    assert len(lading.json("releases", address, "app")["releases"]) >= 2
    assert lading.json("gc", address, "--keep", "1")["removed"]
    assert len(lading.json("releases", address, "app")["releases"]) < 3


def test_one_byte_changed_sends_one_blob(lading: Lading, board: ConsoleDevice, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", guests.says("hello\n"), version="1.0.0")
    (app / "data").mkdir()
    for name in ("a", "b", "c"):
        (app / "data" / name).write_bytes(random.Random(name).randbytes(5000))
    with (app / "lading.toml").open("a") as toml:
        toml.write('[[dir]]\nhost = "data"\nguest = "/data"\n')
    lading("push", app, board.address)
    (app / "data" / "b").write_bytes(random.Random("d").randbytes(5000))
    assert lading.json("push", app, board.address)["devices"][0]["push"]["sent_blobs"] == 1


def test_ctrl_c_gives_the_console_back(lading: Lading, board: ConsoleDevice, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", guests.says_and_spins("up\n"))
    lading("push", app, board.address)
    running = lading.start("run", board.address, app_name(app))
    assert running.stdout is not None
    assert running.stdout.read(3) == b"up\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130, err
    assert b"Traceback" not in err
    assert_shell(board)


def app_name(app: Path) -> str:
    import tomllib

    return str(tomllib.loads((app / "lading.toml").read_text())["app"]["name"])


def assert_shell(board: ConsoleDevice) -> None:
    """The console is a user's: it echoes, edits lines, and a shell answers."""
    from lading.links import serial_port

    port = serial_port.SerialPort(board.line.computer, board.address, baud=115200)
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


CUTS = [random.Random(seed).randrange(200, 70_000) for seed in range(int(os.environ.get("LADING_SERIAL_CUTS", "1")))]


@pytest.mark.parametrize("after", CUTS)
def test_a_line_cut_anywhere_leaves_the_old_or_the_new_release_and_the_next_push_goes_on(
    lading: Lading, plug: Callable[..., ConsoleDevice], tmp_path: Path, after: int
) -> None:
    board = plug()
    app = write_app(tmp_path / "app", guests.says("hello\n"), version="1.0.0")
    lading("push", app, board.address)
    name = app_name(app)
    old = release_state(board, name)
    (app / "data").mkdir()
    (app / "data" / "random").write_bytes(random.Random(after).randbytes(60_000))
    toml = (app / "lading.toml").read_text().replace("1.0.0", "2.0.0")
    (app / "lading.toml").write_text(toml + '[[dir]]\nhost = "data"\nguest = "/data"\n')
    board.line.tell(f"cut-after {after}")
    pushing = lading.start("push", app, board.address)
    wait_until(lambda: pushing.poll() is not None, "the push hangs on a dead line", 90)
    pushing.communicate()
    between = release_state(board, name)
    if pushing.returncode == 0:
        assert between.startswith("2.0.0-")
    else:
        assert pushing.returncode == 3
        assert between == old or between.startswith("2.0.0-")
    board.line.tell("mend")
    done = lading.json("push", app, board.address)["devices"][0]["push"]
    assert release_state(board, name).startswith("2.0.0-")
    assert done["sent_bytes"] <= 60_000 + 5000
    assert_shell(board)


@pytest.mark.parametrize("victim", ["client", "agent", "power"])
def test_kill_of_client_or_board_in_the_middle_of_a_push(
    lading: Lading, plug: Callable[..., ConsoleDevice], tmp_path: Path, victim: str
) -> None:
    board = plug("--baud", "460800")
    app = write_app(tmp_path / "app", guests.says("hello\n"), version="1.0.0")
    (app / "data").mkdir()
    (app / "data" / "random").write_bytes(random.Random(1).randbytes(300_000))
    with (app / "lading.toml").open("a") as toml:
        toml.write('[[dir]]\nhost = "data"\nguest = "/data"\n')
    pushing = lading.start("push", app, board.address)
    staging = board.home / HOME
    wait_until(lambda: staged_bytes(staging) > 50_000, "nothing arrives", 60)
    if victim == "client":
        pushing.kill()
    elif victim == "agent":
        os.kill(agent_of(board), signal.SIGKILL)
    else:
        board.power_cycle()
    pushing.communicate(timeout=90)
    assert release_state(board, app_name(app)) == "none"
    done = lading.json("push", app, board.address)["devices"][0]["push"]
    assert done["sent_bytes"] < 280_000, "what had arrived was sent again"
    assert release_state(board, app_name(app)).startswith("1.0.0-")
    assert_shell(board)


def agent_of(board: ConsoleDevice) -> int:
    """The process id of the agent that serves the client."""
    for pid in session_of(board.program.pid):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"serve" in words:
            return pid
    pytest.fail("no agent runs")


def test_a_bad_line_carries_one_push_after_the_other(
    lading: Lading, plug: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    board = plug("--bit-errors", "1e-5", "--lost", "0.001", "--seed", "3")
    app = write_app(tmp_path / "app", guests.says("hello\n"))
    (app / "data").mkdir()
    with (app / "lading.toml").open("a") as toml:
        toml.write('[[dir]]\nhost = "data"\nguest = "/data"\n')
    for seed in range(5):
        data = random.Random(seed).randbytes(64_000)
        (app / "data" / "random").write_bytes(data)
        done = lading.json("push", app, board.address)["devices"][0]["push"]
        current = board.home / HOME / "apps" / app_name(app) / "current"
        assert current.readlink().name == done["release"]
        assert next(current.rglob("random")).read_bytes() == data


def staged_bytes(home: Path) -> int:
    total = 0
    for path in home.rglob("*"):
        if "staging" in path.parts or "incoming" in path.parts:
            try:
                total += path.stat().st_size if path.is_file() else 0
            except FileNotFoundError:
                continue
    return total


def test_a_password_is_in_no_output_and_on_no_command_line(lading: Lading, tmp_path: Path, made: Path) -> None:
    login = tmp_path / "login"
    login.write_text(
        f"#!{sys.executable}\nimport getpass, os, sys\n"
        "while True:\n"
        "    name = input('\\nboard login: ')\n"
        "    if name.strip() and getpass.getpass('Password: ') == 'correct horse':\n"
        "        os.spawnvp(os.P_WAIT, 'bash', ['bash', '--norc', '-i'])\n"
    )
    login.chmod(0o755)
    home = tmp_path / "board"
    shutil.copytree(made, home, symlinks=True)
    device = ConsoleDevice(home, command=[str(login)], PATH=SYSTEM_PATH)
    lading.env["LADING_SERIAL_PASSWORD"] = "correct horse"
    try:
        done = lading("status", f"{device.address}?user=pi", "--json")
        assert set(json.loads(done.out)["apps"]) == {"digits"}
        assert "correct horse" not in done.out + done.err
        del lading.env["LADING_SERIAL_PASSWORD"]
        refused = lading("status", f"{device.address}?user=pi", expect=3)
        assert "LADING_SERIAL_PASSWORD" in refused.err
    finally:
        device.close()


def test_a_deploy_to_a_board_with_the_systems_own_login(lading: Lading, tmp_path: Path, made: Path) -> None:
    home = tmp_path / "board"
    shutil.copytree(made, home, symlinks=True)
    device = ConsoleDevice(home, command=getty(tmp_path, home))
    app = write_app(tmp_path / "app", guests.says("hello\n"))
    address = f"{device.address}?user={USER}"
    try:
        lading.env["LADING_SERIAL_PASSWORD"] = PASSWORD
        done = lading("deploy", app, address)
        assert "hello" in done.out
        assert PASSWORD not in done.out + done.err
        del lading.env["LADING_SERIAL_PASSWORD"]
        command = [str(COMMAND), "status", address]
        asked = [(b"Password of pi on ", f"{PASSWORD}\n".encode())]
        status, shown = answering(command, lading.environment({"TERM": "xterm"}), lading.cwd, asked)
        assert status == 0, shown
        assert b"digits" in shown
        assert PASSWORD.encode() not in shown
        lading.env["LADING_SERIAL_PASSWORD"] = "no horse"
        refused = lading("status", address, expect=3)
        assert "does not let pi in" in refused.err
        assert "horse" not in refused.err
    finally:
        device.close()
    for file in [*home.rglob("*"), *lading.home.rglob("*")]:
        assert not file.is_file() or PASSWORD.encode() not in file.read_bytes(), file


def test_a_console_over_tcp(lading: Lading, board: ConsoleDevice) -> None:
    """As QEMU and serial port servers give it: the line's bytes on a TCP connection."""
    with serving("tcp_bridge", board.line.computer) as (port, _):
        assert set(lading.json("status", f"serial+socket://127.0.0.1:{port}")["apps"]) == {"digits"}


def test_a_deploy_through_a_port_server(
    lading: Lading, plug: Callable[..., ConsoleDevice], tmp_path: Path, digits_bundle: Path
) -> None:
    """RFC 2217: the server sets its line, to the console's speed and to the higher one that both ends agree on."""
    board = plug("--follow-speed")
    app = write_app(tmp_path / "app", guests.says("hello\n"))
    with serving("rfc2217_server", board.line.computer) as (port, _):
        address = f"serial+rfc2217://127.0.0.1:{port}?baud=115200&speed=460800"
        assert "hello" in lading("deploy", app, address).out
        assert lading.json("deploy", digits_bundle, address)["devices"][0]["push"]["already_current"]
        assert set(lading.json("status", address)["apps"]) == {"digits", app_name(app)}
    assert release_state(board, app_name(app)).startswith("1.0.0-")
