"""The main path over a real SSH server: a board without anything of lading's is set up, deployed to, and left clean."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from lading.errors import DeviceUnreachable
from tests.support.apps import write_app
from tests.support.boards import path_with, tmpfs
from tests.support.command import Lading
from tests.support.keeping import eventually
from tests.support.programs import need
from tests.support.sshd import Sshd, serving
from tests.support.wat_guests import says_and_spins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.bootstrap import Stage
    from lading.links.host import CommandLink, Finished, Host

HOME = ".local/share/lading"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines for all tests of this file: taken from the installed packages once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as running:
        yield running


def at(server: Sshd, cache: Path, tmp_path: Path) -> Lading:
    """The command, at home where the server's client is, and without a network."""
    folder = tmp_path / "here"
    folder.mkdir(exist_ok=True)
    return Lading(server.client, folder, {"XDG_CACHE_HOME": str(cache), "PIP_NO_INDEX": "1"})


@pytest.fixture
def lading(server: Sshd, cache: Path, tmp_path: Path) -> Lading:
    return at(server, cache, tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cache: Path, digits_bundle: Path) -> Path:
    """A board's home as a first deploy leaves it."""
    folder = tmp_path_factory.mktemp("made")
    with serving(folder / "sshd") as server:
        at(server, cache, folder)("deploy", digits_bundle, server.address)
        return shutil.copytree(server.home, folder / "board", symlinks=True)


@pytest.fixture
def board(server: Sshd, made: Path) -> str:
    """The address of a board that has had its first deploy."""
    shutil.copytree(made, server.home, symlinks=True, dirs_exist_ok=True)
    return server.address


def test_a_bare_board_is_set_up_deployed_to_and_runs(lading: Lading, server: Sshd, digits_bundle: Path) -> None:
    done = lading("deploy", digits_bundle, server.address)
    assert "accuracy: 99 of 100" in done.out
    for said in ("looking at the device", "bringing the agent", "bringing the engines", "trying the engines"):
        assert said in done.err
    assert "is current" in done.err
    assert [p.name for p in server.home.iterdir()] == [".local"], "something lies outside of the home"
    assert "site-packages" not in json.dumps([str(p) for p in server.home.rglob("*")])
    status = lading.json("status", server.address)
    assert status["apps"]["digits"]["current"].startswith("1.0.0-")


def test_a_deploy_with_nothing_changed_is_three_round_trips_and_no_blob(
    lading: Lading, server: Sshd, board: str, digits_bundle: Path
) -> None:
    done = lading.json("deploy", digits_bundle, board)["devices"][0]
    assert done["push"]["already_current"]
    assert (done["push"]["sent_blobs"], done["push"]["sent_bytes"]) == (0, 0)
    # The start of the agent is one more that the session does not count; the run is none of the deploy's.
    assert 1 + done["round_trips"] <= 3
    assert server.log.read_text().count("Accepted publickey") <= 2


class CountingHost:
    """Counts the commands that are started."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.description = host.description
        self.started = 0

    def start(self, command: str) -> CommandLink:
        """Start one."""
        self.started += 1
        return self._host.start(command)

    def run(self, command: str, stdin: bytes = b"", timeout_s: float = 60.0) -> Finished:
        """Run one."""
        self.started += 1
        return self._host.run(command, stdin, timeout_s)

    def close(self) -> None:
        """Let go."""
        self._host.close()


def test_a_board_that_has_everything_is_started_by_one_command(
    server: Sshd, board: str, cache: Path, digits_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lading.bundle import open_bundle
    from lading.client import connect
    from lading.devices import resolve

    monkeypatch.setenv("HOME", str(server.client))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    hosts: list[CountingHost] = []
    module = sys.modules[connect.__module__]
    opened_by: Callable[..., Any] = module.open_device_host

    def open_counted(*words: Any, **named: Any) -> CountingHost:
        hosts.append(CountingHost(opened_by(*words, **named)))
        return hosts[-1]

    monkeypatch.setattr(module, "open_device_host", open_counted)
    with connect(resolve(board)) as session, open_bundle(digits_bundle) as bundle:
        assert session.push(bundle).already_current
        trips = session.round_trips
    assert hosts[0].started == 1
    assert hosts[0].started + trips <= 3


def test_of_two_models_only_the_changed_one_is_sent(lading: Lading, board: str, digits: Path) -> None:
    second = digits / "models" / "second.tflite"
    model = next((digits / "models").glob("*int8*.tflite"))
    second.write_bytes(model.read_bytes() + b"\0" * 16)
    toml = digits / "lading.toml"
    toml.write_text(
        toml.read_text() + '\n[[model]]\nname = "second"\nversion = "1.0.0"\npath = "models/second.tflite"\n'
    )
    lading("deploy", digits, board, "--no-run")
    second.write_bytes(model.read_bytes() + b"\0" * 32)
    done = lading.json("deploy", digits, board, "--no-run")["devices"][0]["push"]
    assert done["sent_blobs"] == 1
    assert done["sent_bytes"] == second.stat().st_size


def test_roll_back_run_and_removal(lading: Lading, server: Sshd, board: str, digits: Path) -> None:
    toml = digits / "lading.toml"
    toml.write_text(toml.read_text().replace('version = "1.0.0"', 'version = "1.1.0"', 1))
    lading("deploy", digits, board, "--no-run")
    assert lading.json("status", board)["apps"]["digits"]["current"].startswith("1.1.0-")
    lading("rollback", board)
    assert lading.json("status", board)["apps"]["digits"]["current"].startswith("1.0.0-")
    assert "ok" in lading("run", board, "digits", "--", "--self-test").out
    lading("device", "add", "kitchen", board)
    assert "all that was lading's is off the device" in lading("device", "remove", "kitchen", "--purge").out
    assert list(server.home.iterdir()) == [] or not (server.home / HOME).exists()


def test_the_systems_own_ssh_does_as_well(
    lading: Lading, server: Sshd, board: str, digits_bundle: Path, tmp_path: Path
) -> None:
    # OpenSSH looks into the home of /etc/passwd, whatever HOME says: it is told where else to look.
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    words = " ".join(map(shlex.quote, server.ssh_options()))
    ssh.write_text(f'#!/bin/sh\nexec {need("ssh")} {words} "$@"\n')
    ssh.chmod(0o755)
    lading.env["PATH"] = f"{ssh.parent}:{os.environ['PATH']}"
    lading("device", "add", "kitchen", f"ssh+openssh://{server.place}", "--fingerprint", server.fingerprint())
    done = lading.json("deploy", digits_bundle, "kitchen")["devices"][0]
    assert done["push"]["already_current"]
    assert done["run"]["status"] == 0


@pytest.mark.parametrize("shell", ["fish", "csh", "busybox ash", "bash"])
def test_a_login_shell_of_another_kind_with_a_banner_is_no_hindrance(
    tmp_path: Path, cache: Path, made: Path, digits_bundle: Path, shell: str
) -> None:
    program, *words = shell.split()
    login = (need(program), *words)
    with serving(tmp_path / "sshd", shell=login, banner="Welcome to the board!\r\nHave fun.\n") as server:
        shutil.copytree(made, server.home, symlinks=True, dirs_exist_ok=True)
        lading = at(server, cache, tmp_path)
        assert lading.json("deploy", digits_bundle, server.address)["devices"][0]["run"]["status"] == 0


def test_a_board_without_python_is_refused_with_a_remedy(tmp_path: Path, cache: Path, digits_bundle: Path) -> None:
    with serving(tmp_path / "sshd", path=path_with(tmp_path / "bin")) as server:
        done = at(server, cache, tmp_path)("deploy", digits_bundle, server.address, expect=1)
        assert "has no Python" in done.err
        assert "apt install python3" in done.err
        assert list(server.home.iterdir()) == []


@pytest.mark.parametrize(("stage", "share"), [("agent", 0.5), ("engines", 0.1), ("engines", 0.7), ("check", 0.0)])
def test_a_server_that_goes_away_during_the_first_contact_is_made_good_by_the_next(
    lading: Lading,
    server: Sshd,
    cache: Path,
    digits_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
    share: float,
) -> None:
    from lading.client import connect
    from lading.devices import resolve

    for name, value in (("HOME", server.client), ("XDG_CACHE_HOME", cache), ("PIP_NO_INDEX", "1")):
        monkeypatch.setenv(name, str(value))
    killed: list[int] = []

    def kill(seen: Stage) -> None:
        if not killed and seen.name == stage and seen.done >= share * seen.total:
            killed.extend(server.sessions())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(DeviceUnreachable):
        connect(resolve(server.address), on_stage=kill)
    assert killed
    assert not list((server.home / HOME / "agent").glob("*.ready"))
    assert "accuracy: 99 of 100" in lading("deploy", digits_bundle, server.address).out
    assert list((server.home / HOME / "staging").iterdir()) == []


def test_a_damaged_engine_is_mended_on_the_way(lading: Lading, server: Sshd, board: str, digits_bundle: Path) -> None:
    current = json.loads((server.home / HOME / "engines" / "current.json").read_bytes())
    litert = next(part for part in current["parts"] if part["name"] == "litert")
    blob = server.home / HOME / "blobs" / "sha256" / litert["library"]["digest"].partition(":")[2]
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    done = lading("deploy", digits_bundle, board)
    assert f"engine damaged: litert {litert['version']}" in done.err
    assert "accuracy: 99 of 100" in done.out


@pytest.mark.parametrize(
    ("options", "full", "code", "says", "remedy"),
    [
        ("size=64m,ro", False, "home-unusable", "Read-only file system", "?home"),
        ("size=64m,noexec", False, "home-unusable", "noexec", "mounted with exec"),
        ("size=16m", False, "no-space", "bytes are missing", "remove"),
        ("size=64m", True, "no-space", "no space left", "remove"),
    ],
)
def test_a_home_that_cannot_take_it_is_refused_in_one_sentence(
    tmp_path: Path, cache: Path, digits_bundle: Path, options: str, full: bool, code: str, says: str, remedy: str
) -> None:
    with serving(tmp_path / "sshd") as server, tmpfs(server.home, options) as home:
        if full:
            (home / "filler").write_bytes(bytes(os.statvfs(home).f_bavail * 4096))
        error = at(server, cache, tmp_path).json("deploy", digits_bundle, server.address, expect=1)["devices"][0][
            "error"
        ]
        assert error["code"] == code
        assert says in error["message"]
        assert "\n" not in error["message"]
        assert remedy in error["remedy"]
        assert [path.name for path in home.iterdir()] == (["filler"] if full else [])


def test_a_storage_that_is_full_later_on_keeps_the_old_release(
    tmp_path: Path, cache: Path, made: Path, digits: Path
) -> None:
    with serving(tmp_path / "sshd") as server, tmpfs(server.home, "size=96m") as home:
        shutil.copytree(made, home, symlinks=True, dirs_exist_ok=True)
        lading = at(server, cache, tmp_path)
        before = lading.json("status", server.address)["apps"]["digits"]["current"]
        (home / "filler").write_bytes(bytes(os.statvfs(home).f_bavail * 4096 - (1 << 20)))
        (digits / "images" / "large.bin").write_bytes(os.urandom(3 << 20))
        error = lading.json("push", digits, server.address, expect=1)["devices"][0]["error"]
        assert error["code"] == "no-space"
        assert error["details"]["missing_bytes"] > 0
        assert lading.json("status", server.address)["apps"]["digits"]["current"] == before
        (home / "filler").unlink()
        lading("push", digits, server.address)


def test_the_second_client_is_told_who_holds_the_lock_and_since_when(
    lading: Lading, server: Sshd, board: str, cache: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lading.bundle import open_bundle
    from lading.client import connect
    from lading.devices import resolve

    monkeypatch.setenv("HOME", str(server.client))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (digits / "images" / "more.bin").write_bytes(os.urandom(2000))
    bundle = digits.with_suffix(".lading")
    lading("pack", digits, "-o", bundle)
    at_work, go_on = threading.Event(), threading.Event()

    def progress(_done: int, _total: int) -> None:
        at_work.set()
        assert go_on.wait(60)

    def first() -> None:
        with connect(resolve(board)) as session, open_bundle(bundle) as cargo:
            session.push(cargo, progress=progress)

    thread = threading.Thread(target=first)
    thread.start()
    try:
        assert at_work.wait(60)
        error = lading.json("push", bundle, board, expect=1)["devices"][0]["error"]
        holder = lading.json("status", board)["lock"]
    finally:
        go_on.set()
        thread.join(60)
    assert error["code"] == "lock-held"
    assert f"({os.getpid()})" in error["message"] or str(os.getpid()) in error["message"]
    assert f" since {holder['since']}" in error["message"]
    assert "push of digits" in error["message"]
    assert error["details"]["owner"]["pid"] == os.getpid()
    assert lading.json("push", bundle, board)["devices"][0]["push"]["already_current"]


CRONTAB = """#!/bin/sh
case $1 in
-l) cat {table} ;;
-r) rm -f {table} ;;
*) cat >{table} ;;
esac
"""


def test_detached_runs_logs_stop_service_and_removal(tmp_path: Path, cache: Path, made: Path) -> None:
    table = tmp_path / "crontab.txt"
    table.write_text("# mine\n")
    cron = tmp_path / "crontab"
    cron.write_text(CRONTAB.format(table=shlex.quote(str(table))))
    cron.chmod(0o755)
    path = path_with(tmp_path / "bin", crontab=cron, python3="/usr/bin/python3")
    with serving(tmp_path / "sshd", path=path) as server:
        shutil.copytree(made, server.home, symlinks=True, dirs_exist_ok=True)
        lading = at(server, cache, tmp_path)
        board = server.address
        lading("push", write_app(tmp_path / "app", says_and_spins("up\n")), board)
        assert "runs on" in lading("run", "--detach", board, "app").out
        eventually(lambda: lading("logs", board, "app").stdout == b"up\n")
        assert "stopped run 1 of app" in lading("stop", board, "app").out
        assert lading.json("logs", board, "app")["kind"] == "stopped"
        lading("service", "enable", board, "app")
        lines = table.read_text().splitlines()
        assert lines[0] == "# mine"
        assert any(line.startswith("@reboot ") and str(server.home / HOME) in line for line in lines)
        assert lading.json("service", "status", board, "app")["enabled"]
        eventually(lambda: lading("logs", board, "app", "--run", "service").stdout.startswith(b"up\n"))
        lading("service", "disable", board, "app")
        assert table.read_text() == "# mine\n"
        lading("service", "enable", board, "app")
        lading("device", "add", "kitchen", board)
        lading("device", "remove", "kitchen", "--purge")
        assert table.read_text() == "# mine\n"
        assert not (server.home / HOME).exists()


def test_a_user_that_the_board_does_not_know_is_one_sentence_and_a_remedy(lading: Lading, server: Sshd) -> None:
    address = f"ssh://no-such-user-here@127.0.0.1:{server.port}"
    for words in (("status", address), ("device", "add", "kitchen", address)):
        refused = lading(*words, expect=3)
        first, second, *rest = refused.err.splitlines()
        assert first.startswith("lading: error: ")
        assert "'no-such-user-here' is not let in" in first
        assert second.startswith("  remedy: ")
        assert "user" in second
        assert rest == []
    assert lading.json("status", address, expect=3)["error"]["code"] == "auth-failed"
    assert lading("run", address, expect=127).out == ""


def test_whichever_verb_comes_first_shows_how_a_board_is_set_up(lading: Lading, server: Sshd) -> None:
    first = lading("status", server.address)
    for said in ("looking at the device", "bringing the agent", "bringing the engines", "trying the engines"):
        assert f"{server.address}: {said}" in first.err
    assert len(first.err.splitlines()) < 12
    assert lading("status", server.address).err == ""
    shutil.rmtree(server.home / HOME)
    assert lading("status", server.address, "--json").err == ""


def test_a_folder_of_wheels_may_be_named(lading: Lading, server: Sshd, digits_bundle: Path, tmp_path: Path) -> None:
    refused = lading("push", digits_bundle, server.address, "--engines-from", tmp_path / "nowhere", expect=2)
    assert "nowhere is not a folder" in refused.err
    (tmp_path / "wheels").mkdir()
    empty = {"XDG_CACHE_HOME": str(tmp_path / "empty"), "PIP_NO_INDEX": "1"}
    said = ("deploy", digits_bundle, server.address, "--engines-from", tmp_path / "wheels")
    assert "99 of 100" in lading(*said, env=empty).out  # what is installed here counts, too


def earlier_agent(home: Path) -> str:
    """Put another agent beside the board's, as if it had been there before; its name."""
    agents = home / HOME / "agent"
    now = (agents / "current").resolve()
    other = now.read_bytes().replace(b'__version__ = "0.1.0"', b'__version__ = "0.0.9"')
    name = f"0.0.9-{hashlib.sha256(other).hexdigest()[:12]}.pyz"
    (agents / name).write_bytes(other)
    (agents / "previous").symlink_to(name)
    return name


def test_the_agent_before_can_be_had_again(lading: Lading, server: Sshd, board: str) -> None:
    current = server.home / HOME / "agent" / "current"
    now = current.readlink().name
    refused = lading("device", "rollback-agent", board, expect=1)
    assert "no earlier agent" in refused.err
    assert "remedy" in refused.err
    before = earlier_agent(server.home)
    assert lading.json("device", "rollback-agent", board) == {
        "schema": "lading.device-rollback-agent/1",
        "device": board,
        "agent": before,
        "engines": None,
    }
    assert current.readlink().name == before
    assert lading.json("status", board)["agent"]["version"] == "0.1.0", "a lading speaks with its own version"
    assert now in lading("device", "rollback-agent", board).out
    assert current.readlink().name == now


def test_the_engines_before_can_be_had_again(lading: Lading, server: Sshd, board: str, digits_bundle: Path) -> None:
    assert "no earlier set of engines" in lading("device", "rollback-agent", board, "--engines", expect=1).err
    file = server.home / HOME / "engines" / "current.json"
    sets = json.loads(file.read_bytes())
    file.write_text(json.dumps({**sets, "previous": [{**part, "minimums": {}} for part in sets["parts"]]}))
    done = lading.json("device", "rollback-agent", board, "--engines")
    assert done["engines"] == {part["name"]: part["version"] for part in sets["parts"]}
    assert all(part["minimums"] == {} for part in json.loads(file.read_bytes())["parts"])
    assert "99 of 100" in lading("deploy", digits_bundle, board).out
    lading("device", "rollback-agent", board, "--engines")
    assert json.loads(file.read_bytes())["parts"] == sets["parts"]


def test_an_emulated_board_has_no_agent_to_go_back_from(lading: Lading) -> None:
    assert "is emulated" in lading("device", "rollback-agent", "emulated://raspberry-pi-4b", expect=2).err


def test_a_board_may_be_set_up_when_it_gets_its_name(lading: Lading, server: Sshd, tmp_path: Path) -> None:
    add = ("device", "add", "kitchen", server.address)
    assert "--no-contact" in lading(*add, "--set-up", "--no-contact", expect=2).err
    assert "is not a folder" in lading(*add, "--engines-from", tmp_path / "nowhere", expect=2).err
    assert not (server.home / HOME).exists()
    (tmp_path / "wheels").mkdir()
    done = lading(*add, "--engines-from", tmp_path / "wheels")
    assert "bringing the engines" in done.err
    assert "it is set up, with the agent 0.1.0" in done.out
    assert lading.json(*add, "--force", "--set-up")["agent"] == "0.1.0"
    assert lading.json(*add, "--force")["agent"] is None
