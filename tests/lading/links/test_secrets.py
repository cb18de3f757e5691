"""Passwords and passphrases reach nothing that lading starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lading.links.process import ProcessLink

if TYPE_CHECKING:
    import pytest

COMMAND = str(Path(sys.executable).with_name("lading"))
SECRETS = dict.fromkeys(("LADING_SSH_PASSWORD", "LADING_SSH_PASSPHRASE", "LADING_SERIAL_PASSWORD"), "hunter2")


def test_an_agent_that_is_a_process_does_not_inherit_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KEPT", "kept")
    link = ProcessLink(["env"], "emulated://x")
    said = b""
    while data := link.read(65536):
        said += data
    link.close()
    assert b"KEPT=kept" in said
    assert b"hunter2" not in said
    assert b"LADING_SSH" not in said


def test_a_program_that_the_command_line_names_does_not_inherit_them(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.write_text(f"#!/bin/sh\nenv >>{tmp_path}/seen\nexit 1\n")
    runtime.chmod(0o755)
    words = [COMMAND, "conformance", "--command", f"{runtime} {{module}}", "--personality", "wasmedge-0.17"]
    done = subprocess.run(words, env={**os.environ, **SECRETS}, capture_output=True, check=False, timeout=300)
    seen = (tmp_path / "seen").read_text()
    assert "PATH=" in seen
    assert "hunter2" not in seen
    assert b"hunter2" not in done.stdout + done.stderr


def test_taken_from_the_environment_they_are_still_known() -> None:
    code = (
        "import os; from lading.links import secrets; secrets.take(); secrets.take()\n"
        "print(secrets.UserSecrets().stored(secrets.PASSWORD), secrets.PASSWORD in os.environ)"
    )
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env={**os.environ, **SECRETS}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["hunter2", "False"]
