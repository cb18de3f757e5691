"""Typed to first answer on a real ARM Linux under QEMU: a deploy, against scripts that bring and run by hand.

The board is set up already, and the model of digits changes each time, as it does while somebody works on it. By hand
the model is copied with ``scp``, then ``ssh`` starts a Python program over LiteRT and numpy, which lie there since
before; it gives the same 100 answers. A deploy also checks, verifies, tries golden vectors and can be rolled back.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.timing import ms, process, seconds
from tests.support.programs import need
from tests.support.qemu_boards import QemuBoard, raised

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
DIGITS = Path(__file__).parents[2] / "examples" / "digits"
PACKAGES = ("ai-edge-litert", "numpy")
PYTHON = "3.11"
"""The board's."""

_RUNNER = """\
import glob, os, sys
sys.path.insert(0, os.path.expanduser("~/packages"))
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter("model.tflite", num_threads=1)
interpreter.allocate_tensors()
given, made = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
right = 0
paths = sorted(glob.glob("images/*.pgm"))
for path in paths:
    with open(path, "rb") as file:
        pixels = np.frombuffer(file.read()[-64:], np.uint8)
    scale, zero = given["quantization"]
    values = np.clip(np.round(pixels / 16 / scale) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(given["index"], values.reshape(given["shape"]))
    interpreter.invoke()
    answer = int(np.argmax(interpreter.get_tensor(made["index"])))
    right += answer == int(path.rpartition("label")[2][0])
    print(path, answer)
print("accuracy:", right, "of", len(paths))
"""


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-board-") as name, raised("debian-arm64", Path(name)) as board:
        folder = Path(name)
        ignored = shutil.ignore_patterns("dist", "*.c", "*.py")
        project = shutil.copytree(DIGITS, folder / "digits", ignore=ignored)
        model = project / "models" / "digits_int8.tflite"
        first = seconds(lambda: board.lading("deploy", project, board.address))
        _prepare(board, folder, project)
        original = model.read_bytes()
        ours, theirs, bare = [], [], []
        for number in range(ROUNDS):
            model.write_bytes(original + bytes(4 * (number + 1)))  # what is behind a model's end changes no answer
            ours.append(seconds(lambda: board.lading("deploy", project, board.address)))
            theirs.append(seconds(_by_hand(board, model)))
            bare.append(seconds(lambda: board.lading("run", board.address)))
    return {
        "boot_ms": ms(board.said["start_s"]),
        "first_deploy_ms": ms(first),
        "changed_deploy_ms": ms(statistics.median(ours)),
        "scp_and_python_ms": ms(statistics.median(theirs)),
        "run_ms": ms(statistics.median(bare)),
        "deploy_to_script": round(statistics.median(ours) / statistics.median(theirs), 2),
    }


def _ssh(board: QemuBoard, program: str) -> list[str]:
    return [need(program), "-F", board.said["ssh_config"]]


def _prepare(board: QemuBoard, folder: Path, project: Path) -> None:
    """What a script of one's own needs on the board."""
    wheels = ["--platform", "manylinux_2_27_aarch64", "--platform", "manylinux2014_aarch64"]
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--only-binary=:all:"]
    target = folder / "packages"
    subprocess.run([*pip, *wheels, "--python-version", PYTHON, "--target", target, *PACKAGES], check=True)
    (folder / "runner.py").write_text(_RUNNER)
    archive = folder / "packages.tar"
    subprocess.run(["tar", "-C", folder, "-cf", archive, "packages", "runner.py"], check=True)
    with archive.open("rb") as file:
        subprocess.run([*_ssh(board, "ssh"), board.name, "tar -xf -"], check=True, stdin=file)
    words = [*_ssh(board, "scp"), "-q", "-r", str(project / "images"), f"{board.name}:"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)


def _by_hand(board: QemuBoard, model: Path) -> Callable[[], object]:
    copy = process([*_ssh(board, "scp"), "-q", str(model), f"{board.name}:model.tflite"])
    run = process([*_ssh(board, "ssh"), board.name, "python3 runner.py"])

    def both() -> None:
        copy()
        run()

    return both
