from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from lading.client import Session
from lading.client.zipapp import build_agent
from lading.errors import LadingError
from lading.links.emulated import open_emulated
from tests.support.cargo import cargo
from tests.support.local_agent import PROFILE, TARGET

if TYPE_CHECKING:
    from pathlib import Path


def test_the_agent_is_the_same_bytes_every_time() -> None:
    first = build_agent()
    assert first == build_agent()
    names = zipfile.ZipFile(io.BytesIO(first)).namelist()
    assert names == sorted(names)
    assert "lading_agent/nn/process.py" in names
    assert not any("__pycache__" in name for name in names)
    assert len(build_agent(with_host=False)) < len(first)


def oldest_python() -> str | None:
    """A Python 3.9, if this machine has one that works."""
    for program in (os.environ.get("LADING_PYTHON39"), shutil.which("python3.9")):
        if program:
            asked = subprocess.run([program, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True)
            if asked.stdout.strip() == b"(3, 9)":
                return program
    return None


@pytest.mark.parametrize("which", ["this", "oldest"])
def test_the_zipapp_serves(tmp_path: Path, which: str) -> None:
    python = sys.executable if which == "this" else oldest_python()
    if python is None:
        pytest.skip("no Python 3.9 on PATH or in LADING_PYTHON39")
    archive = tmp_path / "agent.pyz"
    archive.write_bytes(build_agent(with_host=False))
    command = [python, "-W", "error", "-I", str(archive)]
    bundle = cargo(smoke=(), golden=False)
    with Session(open_emulated(tmp_path / "home", TARGET, PROFILE, "emulated://test-board", command)) as agent:
        if which == "oldest":
            assert agent.hello.python.startswith("3.9.")
        assert agent.push(bundle).release == bundle.release
        assert agent.push(bundle).already_current
        agent.push(cargo("2.0.0", smoke=(), golden=False))
        assert agent.rollback("echo")["current"] == bundle.release
        assert agent.status()["apps"]["echo"]["current"] == bundle.release
        with pytest.raises(LadingError):
            agent.fetch("echo", "/var/none", lambda _: None)
        # Without its host the archive has no runner: a named end of the run, and the agent answers the next request.
        result = agent.run("echo")
        assert (result.status, result.kind) == (125, "runner-failed" if which == "this" else "no-runtime")
        agent.ping()
