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
        # Weights that stay in the cache, and 4 MB of them that do not: there the pages that each side gets count too.
        cached = made_models.write(Path(folder) / "cached.tflite", 2, 256, repeat=160)
        streaming = made_models.write(Path(folder) / "streaming.tflite", 4, 512, repeat=24)
        return {
            "tiny_f32": _in_one_process(DIGITS, 2000),
            "few_milliseconds_f32": _in_one_process(cached, 400),
            "few_milliseconds_f32_4mb_weights": _in_one_process(streaming, 400),
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
