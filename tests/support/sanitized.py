"""The native runner built with AddressSanitizer and UndefinedBehaviorSanitizer, and what they said."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading_agent.runs.native import NativeRunner, native_runner

if TYPE_CHECKING:
    from lading_agent.runs.spec import RunSpec

ROOT = Path(__file__).resolve().parents[2]
_OPTIONS = "detect_leaks=0:handle_segv=0:handle_sigill=0:exitcode=99:log_path={}"
"""wasmtime handles these signals itself; what lives to the end of the process is not freed on purpose."""


@dataclass(frozen=True)
class Sanitized:
    """A :data:`~lading_agent.runs.launch.RunnerCommand` for that build."""

    native: NativeRunner
    folder: Path

    def __call__(self, spec: RunSpec) -> list[str]:
        """The command for a run."""
        options = _OPTIONS.format(self.folder / "found")
        return ["env", f"ASAN_OPTIONS={options}", f"UBSAN_OPTIONS={options}", *self.native(spec)]

    def reports(self) -> str:
        """What the sanitizers said since the last time."""
        said = ""
        for path in sorted(self.folder.glob("found*")):
            said += path.read_text(errors="replace")
            path.unlink()
        return said


def sanitized(folder: Path) -> Sanitized:
    """Build it; the test is skipped where there is no gcc, and fails in CI."""
    compiler = os.environ.get("CC", "gcc")
    if shutil.which(compiler) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no {compiler}")
        pytest.skip(f"there is no {compiler}")
    program = folder / "lading-runner"
    subprocess.run([sys.executable, ROOT / "scripts" / "build-runner", "--sanitized", program], check=True)
    return Sanitized(native_runner(program), folder)
