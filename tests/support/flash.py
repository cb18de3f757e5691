"""Whether flash images can be made here, and targets for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lading.flash.filesystem import installed
from lading.targets.load import load_target

if TYPE_CHECKING:
    from pathlib import Path

    from lading.targets.load import Target

TARGET = """
schema = 1
title = "A small board"
summary = "For tests."
kind = "microcontroller"
profiles = ["tflm-int8"]
[cpu]
architecture = "armv7e-m"
[memory]
ram = "{ram}"
run = "{ram}"
[storage]
kind = "flash"
size = "1MiB"
[flash]
known-by = "declared"
source = "made up"
address = 0x8000000
littlefs = {{ block-size = "4KiB" }}
partition = [
  {{ name = "boot", offset = 0, size = "16KiB", use = "boot" }},
  {{ name = "app", offset = 0x8000, size = "{app}", use = "firmware" }},
  {{ name = "storage", offset = 0x80000, size = "{size}", use = "releases" }},
]
[[flash.writer]]
tool = "writer"
command = ["write", "{{address}}", "{{offset}}", "{{offset-decimal}}", "{{size}}", "{{port}}", "{{file}}", "{{other}}"]
[provenance]
known-by = "declared"
sources = ["made up"]
"""


def needs_littlefs() -> None:
    """Skip a test where LittleFS is not installed; in CI it has to be."""
    if installed():
        return
    reason = "littlefs-python is not installed: pip install 'lading[flash]'"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def board(folder: Path, *, size: str = "64KiB", ram: str = "256KiB", app: str = "256KiB") -> Target:
    """A target with a partition of this size, from a file."""
    path = folder / "small-board.toml"
    path.write_text(TARGET.format(size=size, ram=ram, app=app))
    return load_target(path)
