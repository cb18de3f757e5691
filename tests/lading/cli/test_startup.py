"""The command line starts at once: nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "wasmtime", "ai_edge_litert", "tflite", "paramiko", "msgspec", "serial", "platformdirs")

SCRIPT = """
import sys
from lading.cli.main import main
sys.argv = ["lading", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {heavy!r} if name in sys.modules]
print("HEAVY", loaded, file=sys.stderr)
"""


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["deploy", "--help"], ["emulate", "--help"]])
def test_help_and_version_import_nothing_heavy(words: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *words], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[-1] == "HEAVY []"
