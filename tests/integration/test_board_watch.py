"""Tests that are killed leave no board behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lading.boards.state import MARK, started_at
from tests.support.examples import ROOT
from tests.support.keeping import eventually

if TYPE_CHECKING:
    from pathlib import Path

_TESTS = """\
import sys, time
from pathlib import Path
from tests.support.board_watch import watch
watch(Path(sys.argv[1]))
print("watched", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_board_ends_with_the_tests_that_it_was_for(tmp_path: Path, sent: signal.Signals) -> None:
    folders = {name: str(tmp_path / name / "state" / "debian-arm64") for name in ("home", "home-of-others")}
    boards = {
        name: subprocess.Popen(["sleep", "600"], env={**os.environ, MARK: folder}, start_new_session=True)
        for name, folder in folders.items()
    }
    try:
        with subprocess.Popen(
            [sys.executable, "-c", _TESTS, str(tmp_path / "home")], cwd=ROOT, stdout=subprocess.PIPE
        ) as tests:
            assert tests.stdout is not None
            assert tests.stdout.readline() == b"watched\n"
            assert started_at(boards["home"].pid) is not None
            tests.send_signal(sent)
        eventually(lambda: started_at(boards["home"].pid) is None)
        assert started_at(boards["home-of-others"].pid) is not None
    finally:
        for board in boards.values():
            board.kill()
            board.wait()
