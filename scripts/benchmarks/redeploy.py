"""A repeated deploy with nothing changed, against the first one and against a bare run of the same guest."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.benchmarks.timing import ms, process, seconds

ROOT = Path(__file__).parents[2]
ROUNDS = 7


def measure() -> dict[str, Any]:
    lading = Path(sys.executable).with_name("lading")
    digits = ROOT / "examples" / "digits"
    model = digits / "models" / "digits_int8.tflite"
    opened = ["--model", f"digits={model}", "--dir", f"{digits / 'images'}::/images"]
    bare = process([str(lading), "emulate", str(digits / "digits.wasm"), *opened, "--", "/images"])
    with tempfile.TemporaryDirectory() as state:
        deploy = [str(lading), "deploy", str(digits), f"emulated://raspberry-pi-4b?state={state}"]
        first = seconds(process(deploy))
        told = subprocess.run([*deploy, "--json"], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        device = json.loads(told.stdout)["devices"][0]
        again, alone, unrun = [], [], []
        for _ in range(ROUNDS):
            again.append(seconds(process(deploy)))
            unrun.append(seconds(process([*deploy, "--no-run"])))
            alone.append(seconds(bare))
    return {
        "first_deploy_ms": ms(first),
        "repeated_deploy_ms": ms(statistics.median(again)),
        "repeated_deploy_without_run_ms": ms(statistics.median(unrun)),
        "bare_run_ms": ms(statistics.median(alone)),
        "ratio_to_bare_run": round(statistics.median(again) / statistics.median(alone), 2),
        "sent_blobs": device["push"]["sent_blobs"],
        "round_trips": device["round_trips"],
    }
