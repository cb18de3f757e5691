"""What the pytest plugin promises to tests of others."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.examples import EXAMPLES
from tests.support.tests_of_users import run_pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Say = Callable[..., str]

BOARD = "emulated://raspberry-pi-4b"
OTHER = "emulated://raspberry-pi-zero-2-w"


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Run a user's tests beside an app that says ``hello`` and one that fails."""
    write_app(tmp_path / "here" / "app", guests.says("hello"))
    write_app(tmp_path / "here" / "other", guests.says("something else", 3), name="other")
    (tmp_path / "home").mkdir()

    def run(text: str, *words: str, expect: int = 0, ini: str = "") -> str:
        (tmp_path / "here" / "test_it.py").write_text(text)
        return run_pytest(tmp_path / "here", *words, home=tmp_path / "home", expect=expect, ini=ini)

    return run


RUNS = "def test_it(lading_app):\n    assert lading_app.run().check().text == 'hello'\n"


def test_the_examples_own_tests_pass_on_two_boards_with_workers(tmp_path: Path) -> None:
    """As docs/pytest.md has it."""
    words = ("--lading-device", BOARD, "--lading-device", OTHER, "-n", "2", EXAMPLES / "digits")
    (tmp_path / "here").mkdir()
    assert "12 passed" in run_pytest(tmp_path / "here", *words, home=tmp_path)
    assert not (tmp_path / "state" / "lading" / "emulated").exists(), "boards of tests are not the user's"


def test_a_test_runs_once_on_each_device(say: Say) -> None:
    said = say(RUNS, "--lading-device", BOARD, "--lading-device", OTHER, "--lading-project", "app", "-v")
    assert f"test_it[{BOARD}] PASSED" in said
    assert f"test_it[{OTHER}] PASSED" in said


def test_an_app_is_deployed_once(say: Say) -> None:
    text = (
        RUNS + "\n\ndef test_again(lading_app, lading_device):\n    assert lading_device.deploy('app') is lading_app\n"
    )
    text += "    assert len(lading_device.session.releases('app')['history']) == 1\n"
    assert "2 passed" in say(text, "--lading-device", BOARD, "--lading-project", "app")


def test_the_projects_place(say: Say) -> None:
    """The marker's, the option's, the configuration file's, the folder's."""
    marked = "import pytest\n\n@pytest.mark.lading_project('other')\n"
    marked += "def test_it(lading_app):\n    assert lading_app.run().status == 3\n"
    assert "1 passed" in say(marked, "--lading-device", BOARD, "--lading-project", "app", "--strict-markers")
    assert "1 passed" in say(RUNS, ini=f"lading_devices = {BOARD}\nlading_project = app")
    said = say(RUNS, "--lading-device", BOARD, expect=1)
    assert "is neither a bundle nor a folder with lading.toml" in said
    assert "Traceback" not in said


def test_without_a_device_tests_are_skipped_and_say_why(say: Say) -> None:
    said = say(RUNS)
    assert "1 skipped" in said
    assert "no device to test on: give --lading-device" in said


def test_a_device_that_cannot_be_reached_is_an_error(say: Say) -> None:
    said = say(RUNS, "--lading-device", "ssh://nobody@localhost:1", "--lading-project", "app", expect=1)
    assert "1 error" in said
    assert "lading: ssh://nobody@localhost:1: nobody listens at localhost:1\n  remedy: " in said
    assert "During handling" not in said


def test_a_device_that_means_nothing_ends_the_run(say: Say) -> None:
    said = say(RUNS, "--lading-device", "emulated://nothing", expect=4)
    assert "there is no target named 'nothing'" in said


def test_a_run_that_fails_shows_what_the_guest_wrote(say: Say) -> None:
    text = "def test_it(lading_app):\n    lading_app.run().check()\n"
    said = say(text, "--lading-device", BOARD, "--lading-project", "other", expect=1)
    assert "other ended with status 3 (its own)" in said
    assert "something else" in said


def test_tensors_that_differ_are_named(say: Say) -> None:
    text = """
import numpy as np
from lading.pytest_plugin import assert_tensors_close

def test_it(lading_app):
    found = lading_app.infer({"image": np.zeros((1, 8, 8, 1), np.int8)})
    wrong = {"probabilities": found["probabilities"].copy()}
    wrong["probabilities"][0, 7] ^= 0x40
    assert_tensors_close(found, wrong)
"""
    said = say(text, "--lading-device", BOARD, "--lading-project", str(EXAMPLES / "digits"), expect=1)
    assert "tensor 'probabilities' (int8 1x10): 1 of 10 elements are too far apart" in said
    assert "the first is [0, 7]" in said


def test_inputs_that_do_not_fit_are_refused_here(say: Say) -> None:
    text = """
import numpy as np
import pytest
from lading.errors import UsageError

def test_it(lading_app):
    with pytest.raises(UsageError, match="is int8 1x8x8x1, not float32 8x8"):
        lading_app.infer({"image": np.zeros((8, 8), np.float32)})
    with pytest.raises(UsageError, match="there is no input image"):
        lading_app.infer({})
    with pytest.raises(UsageError, match="has no input 'picture'"):
        lading_app.infer({"picture": np.zeros((1, 8, 8, 1), np.int8)})
"""
    assert "1 passed" in say(text, "--lading-device", BOARD, "--lading-project", str(EXAMPLES / "digits"))


def test_a_streaming_guests_tensors_and_a_guest_of_ones_own(say: Say, tmp_path: Path) -> None:
    (tmp_path / "here" / "echo.wasm").write_bytes(guests.echoes())
    text = """
from pathlib import Path

def test_it(lading_app):
    ran = lading_app.run("--pace", "0", "at dawn").check()
    steps = ran.outputs["logits"]
    assert len(steps) > 5
    assert steps[0].shape == (1, 31)
    assert lading_app.run_guest(Path("echo.wasm"), stdin=b"there and back").check().text == "there and back"
    lading_app.assert_same_as_host()
"""
    assert "1 passed" in say(text, "--lading-device", BOARD, "--lading-project", str(EXAMPLES / "stream"))


def test_a_named_board_is_each_workers_own(say: Say, tmp_path: Path) -> None:
    device = f"{BOARD}?name=mine"
    assert "1 passed" in say(RUNS, "--lading-device", device, "--lading-project", "app", "-n", "1")
    states = tmp_path / "home" / "state" / "lading" / "emulated" / "raspberry-pi-4b" / "lading-litert"
    assert [path.name for path in states.iterdir()] == ["mine-gw0"]
    say(RUNS, "--lading-device", device, "--lading-project", "app")
    assert {path.name for path in states.iterdir()} == {"mine", "mine-gw0"}


def test_pytest_pays_nothing_for_a_plugin_that_is_not_used() -> None:
    heavy = "numpy wasmtime paramiko msgspec rich typer ai_edge_litert"
    code = (
        "import sys, lading.pytest_plugin.hooks; "
        f"found = [m for m in sys.modules if m.split('.')[0] in {heavy.split()!r} or m.startswith('lading.client')]; "
        "sys.exit(repr(found) if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
