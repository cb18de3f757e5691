"""Pack and push of a 200 MB model against sha256sum of it, on the same storage, in turns."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.benchmarks.timing import ms, process, seconds

ROOT = Path(__file__).parents[2]
OCTETS = 200 * 1000 * 1000
ROUNDS = 5


def measure() -> dict[str, Any]:
    lading = Path(sys.executable).with_name("lading")
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        place = Path(folder)
        model = place / "big.bin"
        with model.open("wb") as file:
            for _ in range(OCTETS // 1_000_000):
                file.write(os.urandom(1_000_000))
        shutil.copy(ROOT / "examples" / "digits" / "digits.wasm", place / "guest.wasm")
        (place / "lading.toml").write_text(
            'schema = 1\n[app]\nname = "big"\nversion = "1.0.0"\nmodule = "guest.wasm"\n'
            '[[model]]\nname = "big"\nversion = "1.0.0"\npath = "big.bin"\nencoding = "onnx"\n'
        )
        bundle = place / "big.lading"
        hashing, packing, pushing, copying = [], [], [], []
        for turn in range(ROUNDS):
            state = place / f"state{turn}"
            hashing.append(seconds(process(["sha256sum", model])))
            copying.append(seconds(process(["cp", model, place / "copy.bin"])))
            packing.append(seconds(process([lading, "pack", place, "-o", bundle, "--no-variants"])))
            pushing.append(seconds(process([lading, "push", bundle, f"emulated://x86-64?state={state}"])))
            shutil.rmtree(state)
        subprocess.run(["sync"], check=True)
    reference = statistics.median(hashing)
    return {
        "model_bytes": OCTETS,
        "sha256sum_ms": ms(reference),
        "cp_ms": ms(statistics.median(copying)),
        "pack_ms": ms(statistics.median(packing)),
        "push_ms": ms(statistics.median(pushing)),
        "pack_ratio": round(statistics.median(packing) / reference, 2),
        "push_ratio": round(statistics.median(pushing) / reference, 2),
    }
