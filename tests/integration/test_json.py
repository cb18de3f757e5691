"""``--json``: one document on standard output, with keys that stay; exit statuses as documented."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.documents import keys_of
from tests.support.examples import ROOT

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.support.command import Lading

KEYS: dict[str, list[str]] = json.loads((ROOT / "tests" / "data" / "json_keys.json").read_text())
"""Keys that programs may count on. New ones may come; these stay while the schema's number is 1."""


@pytest.fixture
def said(lading: Lading, board: str, digits: Path) -> Callable[..., dict[str, Any]]:
    """A verb's document; it is the only thing that was written anywhere."""

    def say(verb: str, *words: str | Path) -> dict[str, Any]:
        done = lading(*verb.split("-"), *words, "--json")
        assert done.stderr == b"", str(done)
        assert done.json["schema"] == f"lading.{verb}/1"
        missing = set(KEYS[verb]) - keys_of(done.json)
        assert not missing, f"{verb} lost {sorted(missing)}"
        return done.json

    return say


def test_projects_and_bundles(said: Callable[..., dict[str, Any]], lading: Lading, digits: Path) -> None:
    here = lading.cwd
    said("init", here / "made", digits / "digits.wasm", "--model", digits / "models" / "digits_int8.tflite")
    said("golden-record", digits, "--force")
    packed = said("pack", digits, "-o", here / "d.lading")
    assert said("inspect", here / "d.lading")["digest"] == packed["digest"]
    assert said("import", here / "d.lading", "-o", here / "again.lading")["digest"] == packed["digest"]
    assert (here / "again.lading").read_bytes() == (here / "d.lading").read_bytes()


def test_a_device(said: Callable[..., dict[str, Any]], board: str, digits: Path) -> None:
    first = said("deploy", digits, board)["devices"][0]["push"]["release"]
    text = (digits / "lading.toml").read_text()
    (digits / "lading.toml").write_text(text.replace('version = "1.0.0"', 'version = "1.1.0"', 1))
    second = said("push", digits, board)["devices"][0]["push"]["release"]
    assert said("run", board)["release"] == second
    assert said("status", board)["apps"]["digits"]["current"] == second
    assert said("releases", board)["current"] == second
    assert said("rollback", board)["current"] == first
    said("gc", board)
    said("remove", board, "digits")


def test_files_and_bare_modules(
    said: Callable[..., dict[str, Any]], lading: Lading, board: str, tmp_path: Path
) -> None:
    lading("deploy", write_app(tmp_path / "app", guests.writes_a_file("out", "42"), state="/var"), board)
    assert said("fetch", board, "app", "/var/out")["size"] == 2
    assert said("emulate", tmp_path / "app" / "guest.wasm", "--dir", f"{tmp_path}::/var:rw")["kind"] == "exit"


def test_what_is_known_of_boards_and_firmwares(said: Callable[..., dict[str, Any]]) -> None:
    said("targets-list")
    said("targets-show", "x86-64")
    said("profiles-list")
    said("profiles-show", "wamr-2.4")
    assert said("profiles-diff", "wamr-2.4", "wamr-2.3")["differences"]
    said("profiles-validate", ROOT / "firmware_profiles" / "wamr-2.4.toml")


def test_before_anything_is_sent(said: Callable[..., dict[str, Any]], digits: Path) -> None:
    assert said("check", digits, "--on", "all")["ok"]
    assert said("trace", digits)["complete"]
    assert said("matrix", digits, "--on", "lading-litert,wasmedge-0.17")["counts"]["variant"] == 1


def test_help_lists_every_verb_whose_keys_stay(lading: Lading) -> None:
    listed = set(re.findall(r"^│ ([a-z-]+) +[A-Z]", lading("--help").out, re.MULTILINE))
    assert {verb if verb in listed else verb.split("-")[0] for verb in KEYS} <= listed


@pytest.mark.parametrize("verb", ["golden record", "deploy", "emulate"])
def test_help_shows_an_example(lading: Lading, verb: str) -> None:
    """A few by the command; that every verb has one is asked of the parser."""
    assert f"Example:  lading {verb} " in lading(*verb.split(), "--help").out


def test_every_verb_has_an_example() -> None:
    from lading.cli.main import APP

    commands = [
        command
        for group in (APP, *(g.typer_instance for g in APP.registered_groups))
        if group
        for command in group.registered_commands
    ]
    assert len(commands) >= len(KEYS)
    for command in commands:
        assert "Example:  lading " in (command.epilog or ""), command.name


ERRORS = [
    (("status", "BOARD", "none"), 1, "no-such-app"),
    (("rollback", "BOARD", "none"), 1, "no-such-app"),
    (("releases", "BOARD", "none"), 1, "no-such-app"),
    (("remove", "BOARD", "none"), 1, "no-such-app"),
    (("fetch", "BOARD", "none", "/x"), 1, "no-such-app"),
    (("run", "BOARD", "none"), 127, "no-such-app"),
    (("run", "ssh://user@localhost:1", "x"), 127, "connection-refused"),
    (("status", "ssh://user@localhost:1"), 3, "connection-refused"),
    (("gc", "gopher://x"), 2, "address"),
    (("gc", "nowhere"), 2, "name-not-found"),
    (("run", "nowhere"), 127, "name-not-found"),
    (("run", "BOARD", "x", "--timeout", "soon"), 125, "usage"),
    (("emulate", "none.wasm"), 127, "module-not-found"),
    (("emulate", "none.wasm", "--max-memory", "x"), 125, "usage"),
    (("pack", "nowhere"), 2, None),
    (("push", "nowhere", "BOARD"), 2, "usage"),
    (("deploy", "nowhere", "BOARD"), 2, "usage"),
    (("inspect", "nowhere"), 2, "bundle"),
    (("import", "nowhere"), 2, None),
    (("init", "new", "nowhere.wasm"), 2, None),
    (("golden", "record", "nowhere"), 2, None),
]


@pytest.mark.parametrize(("words", "status", "code"), ERRORS, ids=[" ".join(words) for words, _, _ in ERRORS])
def test_errors_are_documents_too(
    lading: Lading, board: str, words: tuple[str, ...], status: int, code: str | None
) -> None:
    done = lading(*(board if word == "BOARD" else word for word in words), "--json", expect=status)
    verb = "golden-record" if words[0] == "golden" else words[0]
    assert done.json["schema"] == f"lading.{verb}/1"
    error = done.json["error"]
    assert set(error) == {"code", "message", "remedy", "details"}
    assert error["message"]
    assert code in (None, error["code"])
    first, second = done.err.splitlines()
    assert first.startswith("lading: error: ")
    assert first.endswith(error["message"])
    assert second == f"  remedy: {error['remedy']}"


@pytest.mark.parametrize("words", [("status",), ("push", "x"), ("gc", "BOARD", "--keep", "0"), ("pack", "--colour")])
def test_wrong_use_is_2(lading: Lading, board: str, words: tuple[str, ...]) -> None:
    done = lading(*(board if word == "BOARD" else word for word in words), expect=2)
    assert done.stdout == b""
    _two_lines(done.err, words[0])


@pytest.mark.parametrize(
    "words", [("run",), ("run", "x", "--colour"), ("emulate",), ("emulate", "--threads", "-1", "x")]
)
def test_wrong_use_of_what_stands_in_for_a_guest_is_125(lading: Lading, words: tuple[str, ...]) -> None:
    _two_lines(lading(*words, expect=125).err, words[0])


def _two_lines(err: str, verb: str) -> None:
    first, second = err.splitlines()
    assert first.startswith(f"lading: error: lading {verb}: ")
    assert second.startswith(f"  remedy: lading {verb} ")
    assert second.endswith(f"`lading {verb} --help` says more")


@pytest.mark.parametrize("words", [("status", "--json"), ("gc", "x", "--keep", "0", "--json")])
def test_wrong_use_is_a_document_too(lading: Lading, words: tuple[str, ...]) -> None:
    done = lading(*words, expect=2)
    assert done.json["schema"] == f"lading.{words[0]}/1"
    assert done.json["error"]["code"] == "usage"


def test_an_unknown_verb_is_2_and_no_verb_shows_help(lading: Lading) -> None:
    assert "no such command 'deplyo'" in lading("deplyo", expect=2).err
    assert "deploy" in lading(expect=None).out


def test_ends_of_runs_in_documents(lading: Lading, board: str, tmp_path: Path) -> None:
    for name, module, options, status, kind in (
        ("fine", guests.exits(0), (), 0, "exit"),
        ("seven", guests.exits(7), (), 7, "exit"),
        ("trap", guests.traps(), (), 134, "trap"),
        ("loop", guests.spins(), ("--timeout", "0.2s"), 125, "time-limit"),
        ("bad", b"\0asm\x01\0\0\0", (), 126, "not-loadable"),
    ):
        lading("push", write_app(tmp_path / name, module, name=name), board, expect=None)
        done = lading("run", board, name, *options, "--json", expect=status)
        assert (done.json["kind"], done.json["status"]) == (kind, status)


# Ctrl-C and worse


def descendants(pid: int) -> set[int]:
    """Processes that a process has started, and those that they have."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found |= {int(child)} | descendants(int(child))
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run: zombies that nobody waits for are dead."""
    return {pid for pid in pids if Path(f"/proc/{pid}/stat").exists() and _state(pid) != "Z"}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def started(running: subprocess.Popen[bytes]) -> set[int]:
    """Wait until the guest has spoken; every process behind the command."""
    assert running.stdout is not None
    assert running.stdout.read(3) == b"up\n"
    found = descendants(running.pid)
    assert found, "an agent and a runner, or a runner"
    return found


def assert_gone(pids: set[int]) -> None:
    """They end soon: within the time that a busy machine may need."""
    deadline = time.monotonic() + 30
    while alive(pids):
        assert time.monotonic() < deadline, f"still there: {alive(pids)}"
        time.sleep(0.02)


@pytest.fixture
def endless(lading: Lading, board: str, tmp_path: Path) -> tuple[Path, str]:
    """An endless guest: as a file, and on a board."""
    app = write_app(tmp_path / "app", guests.says_and_spins("up\n"))
    lading("push", app, board)
    return app / "guest.wasm", board


@pytest.mark.parametrize("verb", ["run", "emulate"])
def test_ctrl_c_ends_run_and_guest(lading: Lading, endless: tuple[Path, str], verb: str) -> None:
    running = lading.start(verb, endless[1] if verb == "run" else endless[0], start_new_session=True)
    behind = started(running)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does it: to the whole group in the foreground
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert b"interrupted" in err
    assert b"Traceback" not in err
    assert_gone(behind)
    if verb == "run":
        assert lading.json("status", endless[1])["lock"] is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["run", "emulate"])
def test_whatever_ends_the_command_ends_the_guest(
    lading: Lading, endless: tuple[Path, str], verb: str, number: signal.Signals
) -> None:
    running = lading.start(verb, endless[1] if verb == "run" else endless[0])
    behind = started(running)
    running.send_signal(number)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert_gone(behind)


def test_an_interrupted_run_is_a_document_too(lading: Lading, endless: tuple[Path, str]) -> None:
    running = lading.start("run", endless[1], "--json")
    deadline = time.monotonic() + 60
    while len(descendants(running.pid)) < 2:  # agent and runner
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"


def test_a_command_without_a_home(lading: Lading, tmp_path: Path) -> None:
    """The default place of emulated devices is below the user's state directory; one that cannot be is said."""
    assert lading("status", "emulated://raspberry-pi-4b").out
    assert (lading.home / "state" / "lading" / "emulated" / "raspberry-pi-4b").is_dir()
    shutil.rmtree(lading.home / "state")
    (lading.home / "state").write_text("in the way")
    assert "cannot be used" in lading("status", "emulated://raspberry-pi-4b", expect=3).err
