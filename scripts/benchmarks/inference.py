"""Inference inside a guest against the bare interpreter: same process, same model, same thread count."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "models" / "digits_f32.tflite"


def measure() -> dict[str, Any]:
    from tests.support import made_models

    with tempfile.TemporaryDirectory() as folder:
        middling = made_models.write(Path(folder) / "middling.tflite", 4, 512, repeat=16)
        return {
            "tiny_f32": _in_one_process(DIGITS, 2000),
            "few_milliseconds_f32": _in_one_process(middling, 300),
        }


def _in_one_process(model: Path, rounds: int) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.inference_process", model, str(rounds)],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    figures: dict[str, Any] = json.loads(ran.stdout)
    return figures
