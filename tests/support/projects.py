"""Projects for tests: the smallest that packs, and one with everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lading.project import Project, load_project
from tests.support.made_models import fully_connected

if TYPE_CHECKING:
    from pathlib import Path

WASM = b"\0asm\1\0\0\0"

SMALL = """\
schema = 1
[app]
name = "small"
version = "1.0.0"
module = "small.wasm"
"""

FULL = """\
schema = 1
[app]
name = "full"
version = "2.1.0-rc.1"
module = "full.wasm"
args = ["images"]
env = { MODE = "fast", from-device-env = ["TOKEN"] }
threads = 2
timeout = "60s"
memory = "256MiB"

[[dir]]
host = "data"
guest = "/data"

[[state]]
guest = "/var"

[[model]]
name = "layer"
version = "1.0.0"
path = "layer.tflite"

[[golden]]
model = "layer"
inputs = { "x" = "golden/x.npy" }
outputs = { "y" = "golden/y.npy" }

[[smoke]]
args = ["--self-test"]
stdout = "ok"
"""


def small_project(root: Path) -> Project:
    """A guest and nothing else."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "small.wasm").write_bytes(WASM)
    (root / "lading.toml").write_text(SMALL)
    return load_project(root)


def full_project(root: Path) -> Project:
    """A guest, a model with a golden vector, files, state and a smoke run."""
    (root / "data" / "sub").mkdir(parents=True)
    (root / "golden").mkdir()
    (root / "full.wasm").write_bytes(WASM + b"\0\5\4name")
    (root / "layer.tflite").write_bytes(fully_connected(1, 4))
    (root / "data" / "b.txt").write_bytes(b"b\n")
    (root / "data" / "empty").write_bytes(b"")
    (root / "data" / "sub" / "run.sh").write_bytes(b"#!/bin/sh\n" * 100)
    (root / "data" / "sub" / "run.sh").chmod(0o755)
    np.save(root / "golden" / "x.npy", np.arange(4, dtype=np.float32).reshape(1, 4))
    np.save(root / "golden" / "y.npy", 2 * np.arange(4, dtype=np.float32).reshape(1, 4))
    (root / "lading.toml").write_text(FULL)
    return load_project(root)
