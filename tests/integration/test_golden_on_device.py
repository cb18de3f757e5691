"""Golden vectors and smoke runs stand between a release and being current."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.apps import write_app
from tests.support.wat_guests import says, spins

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading


@pytest.fixture
def old(lading: Lading, board: str, digits: Path) -> str:
    """Release 1.0.0 is on the board; the project says 1.1.0 now."""
    release = lading.json("push", digits, board)["devices"][0]["push"]["release"]
    edit(digits, 'version = "1.0.0"', 'version = "1.1.0"')
    return str(release)


def edit(project: Path, old: str, new: str) -> None:
    """Change the project's file."""
    file = project / "lading.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def assert_still(lading: Lading, board: str, release: str) -> None:
    """The old release is current, alone, and runs."""
    said = lading.json("releases", board)
    assert (said["current"], [entry["release"] for entry in said["releases"]]) == (release, [release])
    assert "self-test ok" in lading("run", board, "--", "--self-test").out


def test_a_golden_vector_that_fails(lading: Lading, board: str, digits: Path, old: str) -> None:
    path = digits / "golden" / "int8" / "probabilities.npy"
    expected = np.load(path)
    right = int(expected[0, 3])
    expected[0, 3] += 7
    np.save(path, expected)
    done = lading("push", digits, board, expect=1)
    assert "golden vector 1 of model digits came out wrong on the device" in done.err
    assert f"tensor probabilities[0, 3] is {right}, expected {right + 7} with a tolerance of 1 step\n" in done.err
    assert f"{old} is still current" in done.err
    assert done.out == ""
    assert_still(lading, board, old)
    error = lading.json("deploy", digits, board, expect=1)["error"]
    assert error["code"] == "golden-mismatch"
    mismatch = error["details"]["mismatch"]
    assert (mismatch["tensor"], mismatch["index"], mismatch["expected"], mismatch["got"], mismatch["tolerance"]) == (
        "probabilities",
        [0, 3],
        right + 7,
        right,
        1,
    )
    assert error["details"]["current"] == old


def test_within_the_tolerance_is_right(lading: Lading, board: str, digits: Path, old: str) -> None:
    path = digits / "golden" / "int8" / "probabilities.npy"
    expected = np.load(path)
    expected[0, 0] += 1
    np.save(path, expected)
    done = lading("push", digits, board)
    assert "worst difference 1" in done.err
    assert lading.json("releases", board)["previous"] == old


def test_a_model_that_computes_something_else(lading: Lading, board: str, digits: Path, old: str) -> None:
    """The float16 model's answers are not the int8 model's: dtype and values are looked at."""
    edit(digits, "models/digits_int8.tflite", "models/digits_float16.tflite")
    done = lading("push", digits, board, expect=None)
    assert done.status in (1, 2), str(done)
    assert "probabilities" in done.err or "image" in done.err
    assert_still(lading, board, old)


def test_a_smoke_run_that_writes_something_else(lading: Lading, board: str, digits: Path, old: str) -> None:
    edit(digits, 'stdout = "self-test ok"', 'stdout = "^all is well$"')
    done = lading("push", digits, board, expect=1)
    assert "smoke run 1 of digits (--self-test)" in done.err
    assert "'^all is well$'" in done.err
    assert "it wrote 'self-test ok" in done.err
    assert f"{old} is still current" in done.err
    assert_still(lading, board, old)
    details = lading.json("push", digits, board, expect=1)["error"]["details"]
    assert details["args"] == ["--self-test"]
    assert (details["expected_exit"], details["exit"]) == (0, 0)
    assert details["expected_stdout"] == "^all is well$"
    assert details["stdout"].startswith("self-test ok")


def test_a_smoke_run_that_ends_otherwise(lading: Lading, board: str, digits: Path, old: str) -> None:
    edit(digits, "exit = 0", "exit = 3")
    done = lading("deploy", digits, board, expect=1)
    assert "smoke run 1 of digits (--self-test): ended with status 0, expected 3" in done.err
    assert_still(lading, board, old)


def test_a_smoke_run_that_does_not_end(lading: Lading, board: str, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", spins(), app='timeout = "300ms"', more="[[smoke]]")
    done = lading("push", app, board, expect=1)
    assert "time-limit" in done.err
    assert "no release is current" in done.err
    assert lading.json("status", board)["apps"] == {}


def test_a_first_release_that_fails_leaves_nothing(lading: Lading, board: str, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", says("no"), more='[[smoke]]\nstdout = "yes"')
    assert "no release is current" in lading("push", app, board, expect=1).err
    assert lading.json("status", board)["apps"] == {}
    lading("run", board, "app", expect=127)
    write_app(tmp_path / "app", says("yes"), more='[[smoke]]\nstdout = "yes"')
    lading("push", app, board)


def test_golden_vectors_recorded_by_the_command_are_right_on_the_device(
    lading: Lading, board: str, digits: Path
) -> None:
    for tensor in ("image", "probabilities"):
        (digits / "golden" / "int8" / f"{tensor}.npy").rename(lading.cwd / f"{tensor}.npy")
    text = (digits / "lading.toml").read_text()
    head, _, rest = text.partition("[[golden]]")
    (digits / "lading.toml").write_text(head + "[[smoke]]" + rest.partition("[[smoke]]")[2])
    lading("golden", "record", digits, "--input", "image=image.npy")
    assert "[[golden]]" in (digits / "lading.toml").read_text()
    pushed = lading.json("push", digits, board)["devices"][0]["push"]
    assert pushed["golden"][0]["ok"] is True
    assert pushed["golden"][0]["compared"] == 10
