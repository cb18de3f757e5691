"""What models compute on an ARM board is what they compute here, within a quantization step; users' tests run there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.examples import EXAMPLES
from tests.support.qemu_boards import QemuBoard, raised
from tests.support.tests_of_users import run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VECTORS = 25
TYPES = {"int8": (-128, 128)}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QemuBoard]:
    with raised("debian-arm64", tmp_path_factory.mktemp("numerics")) as running:
        yield running


@pytest.mark.parametrize("model", ["int8", "f32"])
def test_every_kind_of_model_computes_there_what_it_computes_here(board: QemuBoard, tmp_path: Path, model: str) -> None:
    digits = shutil.copytree(EXAMPLES / "digits", tmp_path / "digits", ignore=shutil.ignore_patterns("dist", "tests"))
    text = (digits / "lading.toml").read_text()
    text = text.replace("digits_int8.tflite", f"digits_{model}.tflite").replace("golden/int8", f"golden/{model}")
    if model not in TYPES:
        text = text.replace('args = ["images"]', 'args = ["--input", "f32", "images"]')
    (digits / "lading.toml").write_text(text[: text.index("[[smoke]]")])
    board.lading("push", digits, board.address)
    random = np.random.default_rng(7)
    for number in range(VECTORS):
        folder = tmp_path / "inputs" / f"{number:02}"
        folder.mkdir(parents=True)
        low, high = TYPES.get(model, (0, 2))
        image = random.integers(low, high, (1, 8, 8, 1)) if model in TYPES else random.random((1, 8, 8, 1))
        np.save(folder / "image.npy", image.astype(model if model in TYPES else np.float32))
    words = ("run", board.address, "digits", "--compare-host", "--project", digits)
    for more in ((), ("--inputs", tmp_path / "inputs")):
        found = board.lading.json(*words, *more)
        assert found["ok"], found
        assert "aarch64" not in found["runtimes"]["host"]
        worst = max(output["worst"] for vector in found["vectors"] for output in vector["outputs"])
        assert worst <= (1 if model in TYPES else 1e-5), found
    assert len(found["vectors"]) == VECTORS


def test_a_recurrent_model_computes_there_what_it_computes_here(board: QemuBoard) -> None:
    board.lading("push", EXAMPLES / "stream", board.address)
    assert board.lading.json("run", board.address, "--compare-host", "--project", EXAMPLES / "stream", "shiplog")["ok"]


def test_tests_of_users_run_on_a_board(board: QemuBoard, tmp_path: Path) -> None:
    """The examples' own; two workers take turns at the board."""
    words = ("--lading-device", board.address, "-n", "2", EXAMPLES / "digits")
    environment = board.lading.environment()
    said = run_pytest(tmp_path, *words, home=board.lading.home, cache=environment["XDG_CACHE_HOME"])
    assert "6 passed" in said
