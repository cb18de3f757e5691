"""Programs of the system that some tests need."""

from __future__ import annotations

import os
import shutil

import pytest


def need(program: str, *, in_ci: bool = True) -> str:
    """The program's path; where it is missing the test is skipped, in CI it fails if it must be there."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin")
    if found is None:
        if in_ci and os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return found
