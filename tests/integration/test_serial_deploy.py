"""The main path over a serial line: a board that has nothing but a login console."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from lading.bundle import open_bundle, pack
from lading.errors import ConsoleUnusable, LadingError, LinkLost
from lading.project import load_project
from lading_agent.line.endpoint import LineSettings
from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.command import COMMAND, Lading
from tests.support.console import ConsoleDevice, wait_until
from tests.support.getty import PASSWORD, USER, getty
from tests.support.keeping import eventually
from tests.support.local_host import SYSTEM_PATH
from tests.support.port_server import serving
from tests.support.serial_boards import (
    HOME,
    SHELL,
    agent_of,
    app_name,
    assert_shell,
    at,
    board_on,
    open_session,
    process_of,
    release_state,
    staged_bytes,
)
from tests.support.terminal import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.client.results import PushResult


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines for all tests of this file: taken from the installed packages once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def lading(tmp_path: Path, cache: Path) -> Lading:
    return at(tmp_path, cache)


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


CASES = int(os.environ.get("LADING_SERIAL_CUTS", "4"))
"""How many random cuts, and kills, are tried."""
QUICK = LineSettings(dead_after_s=2.0)
DATA = 40_000


class Versions:
    """An app that has another version, with other random data, each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.data = b""

    def next(self) -> Path:
        """The next version's bundle."""
        self.count += 1
        self.data = random.Random(self.count).randbytes(DATA)
        project = write_app(self.folder / "app", guests.says("hello\n"), version=f"{self.count}.0.0", more=DIR)
        (project / "data").mkdir(exist_ok=True)
        (project / "data" / "random").write_bytes(self.data)
        return pack(load_project(project)).path

    def is_whole(self, board: ConsoleDevice, release: str) -> bool:
        """Whether a release is on the board with the latest data."""
        current = board.home / HOME / "apps" / "app" / "current"
        return current.readlink().name == release and next(current.rglob("random")).read_bytes() == self.data


DIR = '[[dir]]\nhost = "data"\nguest = "/data"\n'


def push_here(board: ConsoleDevice, bundle: Path) -> PushResult:
    """A push by this process."""
    session, _ = open_session(board, QUICK)
    with session, open_bundle(bundle) as opened:
        return session.push(opened)


def test_a_line_cut_anywhere_leaves_the_old_or_the_new_release_and_the_next_push_goes_on(
    plug: Callable[..., ConsoleDevice], tmp_path: Path
) -> None:
    board = plug()
    app = Versions(tmp_path)
    old = push_here(board, app.next()).release
    for case in range(CASES):
        chance = random.Random(case)
        bundle = app.next()
        where = chance.choice(["cut-after", "cut-after", "cut-back-after"])
        board.line.tell(f"{where} {chance.randrange(200, DATA + 4000 if where == 'cut-after' else 4000)}")
        pushed: PushResult | None = None
        try:
            pushed = push_here(board, bundle)
        except (LinkLost, ConsoleUnusable) as error:
            assert error.exit_status == 3  # noqa: PT017
        between = release_state(board, "app")
        assert between.startswith(f"{app.count}.0.0-") or (pushed is None and between == old), case
        board.line.tell("mend")
        pushed = push_here(board, bundle)
        assert app.is_whole(board, pushed.release), case
        old = pushed.release
    assert_shell(board)


class PushUnderWay:
    """A push by another thread, or (``apart``) by a process."""

    def __init__(self, board: ConsoleDevice, bundle: Path, apart: Lading | None) -> None:
        self.board = board
        self.outcome: str | LadingError | None = None
        self.process = apart.start("push", bundle, board.address) if apart is not None else None
        self.thread = threading.Thread(target=self._push, args=(bundle,))
        if apart is None:
            self.thread.start()

    def _push(self, bundle: Path) -> None:
        try:
            self.outcome = push_here(self.board, bundle).release
        except LadingError as error:
            self.outcome = error

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None if self.process is not None else not self.thread.is_alive()

    def wait_for(self, moment: int, pause_s: float) -> None:
        """Until so many octets have come; below 0: until it begins; beyond the data: while it is made current."""

        def is_there() -> bool:
            if moment < 0:
                return self.is_over or process_of(self.board, "serve") is not None
            return self.is_over or staged_bytes(self.board.home / HOME) >= min(moment, DATA)

        wait_until(is_there, "the push does not come that far", 60)
        time.sleep(0.0 if 0 <= moment <= DATA else pause_s)

    def kill(self, victim: str) -> None:
        if victim == "power":
            self.board.power_cycle()
        elif self.process is not None:
            self.process.kill()
        elif (pid := process_of(self.board, victim)) is not None:
            os.kill(pid, signal.SIGKILL)

    def join(self) -> str | None:
        """Its end; the release that it told of."""
        if self.process is not None:
            self.process.communicate(timeout=90)
            return None
        self.thread.join(90)
        assert not self.thread.is_alive(), "the push hangs"
        assert isinstance(self.outcome, str) or (self.outcome is not None and self.outcome.exit_status in (1, 3))
        return self.outcome if isinstance(self.outcome, str) else None


@pytest.mark.parametrize("victim", ["client", "serve", "stage", "power"])
def test_whatever_is_killed_at_any_moment_of_a_push_the_next_one_goes_on(
    lading: Lading, plug: Callable[..., ConsoleDevice], tmp_path: Path, victim: str
) -> None:
    board = plug("--baud", "460800")
    app = Versions(tmp_path)
    old = push_here(board, app.next()).release
    for case in range(max(1, CASES // 2)):
        chance = random.Random(f"{victim}{case}")
        bundle = app.next()
        pushing = PushUnderWay(board, bundle, lading if victim == "client" else None)
        pushing.wait_for(chance.randrange(-DATA // 4, DATA * 5 // 4), chance.random() * 0.3)
        pushing.kill(victim)
        told = pushing.join()
        between = release_state(board, "app")
        assert between == (told or between), case
        assert between == old or between.startswith(f"{app.count}.0.0-"), case
        pushed = push_here(board, bundle)
        assert app.is_whole(board, pushed.release), case
        old = pushed.release
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
