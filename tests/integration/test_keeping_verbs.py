"""The verbs for what goes on without a connection, as users and programs see them; with real guests."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.keep import pending, runs, service_state
from lading_agent.store.layout import Layout
from tests.integration.test_json import KEYS
from tests.support.apps import write_app
from tests.support.documents import keys_of
from tests.support.keeping import Board, eventually
from tests.support.wat_guests import exits, says, says_and_spins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Lading


@pytest.fixture
def kept(store: Path, tmp_path: Path) -> Iterator[Layout]:
    """The board's store; nothing runs there after the test."""
    watched = Board(tmp_path)
    watched.home = store / "raspberry-pi-4b" / "lading-litert" / "default"
    watched.layout = Layout(watched.home)
    yield watched.layout
    watched.end()


def push(lading: Lading, board: str, folder: Path, module: bytes, version: str = "1.0.0", *words: str) -> None:
    lading("push", write_app(folder, module, version=version), board, *words)


def test_a_detached_run_from_its_start_to_its_end(lading: Lading, board: str, kept: Layout, tmp_path: Path) -> None:
    push(lading, board, tmp_path / "app", says_and_spins("grüße\n"))
    assert "runs on" in lading("run", "--detach", board).out
    eventually(lambda: lading("logs", board).stdout == "grüße\n".encode())
    assert "run 1 of" in lading("status", board).out
    assert "stopped run 1 of app" in lading("stop", board).out
    assert "nothing of app was running" in lading("stop", board).out
    document = lading.json("logs", board)
    assert set(KEYS["logs"]) <= keys_of(document)
    assert (document["stdout"], document["kind"], document["state"]) == ("grüße\n", "stopped", "ended")
    assert [run.kind for run in runs.listed(kept, "app")] == ["stopped"]


def test_documents(lading: Lading, board: str, kept: Layout, tmp_path: Path) -> None:
    push(lading, board, tmp_path / "app", exits(3))
    begun = lading.json("run", "--detach", board)
    assert begun["schema"] == "lading.run/1"
    assert {"device", "run", "app", "release", "state", "since", "args", "pid"} <= set(begun)
    followed = lading.json("logs", "-f", board)
    assert (followed["status"], followed["kind"]) == (3, "exit")
    for words in (["stop", board], ["service", "enable", board], ["service", "status", board]):
        done = lading.json(*words)
        verb = "-".join(words[:-1])
        assert done["schema"] == f"lading.{verb}/1"
        assert set(KEYS[verb]) <= keys_of(done)
    assert set(KEYS["service-disable"]) <= keys_of(lading.json("service", "disable", board))
    assert not service_state.folder(kept, "app").exists()


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (("logs", "BOARD", "none"), 1, "no-such-app"),
        (("logs", "BOARD", "app"), 1, "no-such-run"),
        (("logs", "BOARD", "app", "--run", "7"), 1, "no-such-run"),
        (("stop", "BOARD", "app", "--run", "7"), 1, "no-such-run"),
        (("confirm", "BOARD"), 1, "not-pending"),
        (("service", "enable", "BOARD", "none"), 1, "no-such-app"),
        (("run", "BOARD", "none", "--detach"), 127, "no-such-app"),
        (("run", "BOARD", "app", "--detach", "--tensors"), 125, "usage"),
        (("push", "APP", "BOARD", "--confirm-within", "soon"), 2, "usage"),
    ],
)
def test_errors_and_statuses(
    lading: Lading, board: str, kept: Layout, tmp_path: Path, words: tuple[str, ...], status: int, code: str
) -> None:
    push(lading, board, tmp_path / "app", exits(0))
    assert kept.app_names() == ["app"]
    names = {"BOARD": board, "APP": str(tmp_path / "app")}
    done = lading.json(*(names.get(word, word) for word in words), expect=status)
    assert done["error"]["code"] == code
    assert done["error"]["remedy"]


def test_ctrl_c_ends_following_with_130_and_leaves_the_run(
    lading: Lading, board: str, kept: Layout, tmp_path: Path
) -> None:
    push(lading, board, tmp_path / "app", says_and_spins("up\n"))
    lading("run", "--detach", board)
    following = lading.start("logs", "-f", board, start_new_session=True)
    assert following.stdout is not None
    assert following.stdout.read(3) == b"up\n"
    os.killpg(following.pid, signal.SIGINT)
    _, err = following.communicate(timeout=60)
    assert following.returncode == 130
    assert b"interrupted" in err
    assert [run.state for run in runs.listed(kept, "app")] == ["running"]


def test_the_first_push_on_probation_is_refused_and_the_second_waits(
    lading: Lading, board: str, kept: Layout, tmp_path: Path
) -> None:
    app = write_app(tmp_path / "app", says("one"))
    refused = lading("push", app, board, "--confirm-within", "60s", expect=1)
    assert "no release to go back to" in refused.err
    push(lading, board, tmp_path / "app", says("one"))
    done = lading("push", write_app(tmp_path / "app", says("two"), version="2.0.0"), board, "--confirm-within", "10m")
    assert "unless it is confirmed" in done.err
    for verb in ("status", "releases"):
        assert "unless it is confirmed" in lading(verb, board).out
    assert "is confirmed" in lading("confirm", board).out
    assert set(KEYS["confirm"]) <= keys_of(lading.json("confirm", board))
    assert pending.read(kept, "app") is None


def test_a_deploy_that_nobody_confirms_undoes_itself(lading: Lading, board: str, kept: Layout, tmp_path: Path) -> None:
    push(lading, board, tmp_path / "app", says("one"))
    app = write_app(tmp_path / "app", says("two"), version="2.0.0")
    document: dict[str, Any] = json.loads(lading("deploy", app, board, "--confirm-within", "1s", "--json").stdout)
    assert document["devices"][0]["push"]["pending"]["within_s"] == 1
    assert document["devices"][0]["run"]["stdout"] == "two"
    eventually(lambda: pending.read(kept, "app") is None)
    assert lading("run", board).out == "one"
    assert "went back to 1.0.0-" in lading("releases", board).out
