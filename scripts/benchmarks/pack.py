"""Pack with all variants of a 4 MB int8 model, nothing kept from before, against a pack of the same without variants.

The model is the digits example's with 4 MB of weights beside its own: the guest runs as it does, and every variant that
carries, retypes or hashes the model has so much to move.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from scripts.benchmarks.timing import ms, seconds

ROOT = Path(__file__).parents[2]
OCTETS = 4_000_000
ROUNDS = 5


def measure() -> dict[str, Any]:
    lading = Path(sys.executable).with_name("lading")
    first, again, plain = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        project = place / "digits"
        shutil.copytree(ROOT / "examples" / "digits", project, ignore=shutil.ignore_patterns("dist", "*.c", "*.py"))
        model = project / "models" / "digits_int8.tflite"
        model.write_bytes(heavier(model.read_bytes()))
        pack = [str(lading), "pack", str(project), "-o", str(place / "digits.lading")]
        for turn in range(ROUNDS):
            kept = {**os.environ, "XDG_CACHE_HOME": str(place / f"cache-{turn}")}
            first.append(seconds(partial(_run, pack, kept)))
            again.append(seconds(partial(_run, pack, kept)))
            plain.append(seconds(partial(_run, [*pack, "--no-variants"], kept)))
        told = json.loads(_run([*pack, "--json"], kept).stdout)
    return {
        "model_bytes": len(heavier((ROOT / "examples" / "digits" / "models" / "digits_int8.tflite").read_bytes())),
        "variants": len(told["variants"]),
        "profiles_served": sum(len(variant["profiles"]) for variant in told["variants"]),
        "bundle_bytes": told["size"],
        "all_variants_ms": ms(statistics.median(first)),
        "again_ms": ms(statistics.median(again)),
        "without_variants_ms": ms(statistics.median(plain)),
        "most_allowed_ms": 3000,
    }


def _run(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=env)


def heavier(data: bytes) -> bytes:
    """The model with a constant of 4 MB that nothing reads."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    buffer = schema.BufferT()
    buffer.data = np.random.default_rng(7).integers(0, 256, OCTETS, np.uint8)
    model.buffers.append(buffer)
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = "ballast", [OCTETS], schema.TensorType.INT8
    tensor.buffer = len(model.buffers) - 1
    model.subgraphs[0].tensors.append(tensor)
    builder = flatbuffers.Builder(OCTETS + 65536)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
