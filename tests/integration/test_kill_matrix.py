"""Every step of a push × everything that can go wrong there: the device is on the old release or on the new one.

Generated from :data:`lading_agent.store.steps.STEPS`: a new step is covered by being in the list. Faults inside of the
agent meet an agent in this process; kills and cut links meet real processes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

import pytest

from lading.client import Session
from lading.errors import LadingError, NoSpace
from lading.links.emulated import open_emulated
from lading_agent.store.steps import STEPS
from tests.support.cargo import cargo
from tests.support.local_agent import PROFILE, TARGET, session
from tests.support.stores import assert_no_garbage, assert_whole

FAULTY_AGENT: Final = Path(__file__).parent.parent / "support" / "faulty_agent.py"
MODEL: Final = b"good " + bytes(700_000)
"""Large enough for several chunks."""
OLD: Final = cargo("1.0.0")
NEW: Final = cargo("2.0.0", model=MODEL)
SWITCHED: Final = STEPS.index("switch-rename")
"""Before this step is taken the old release is current; after it the new one."""

CLIENT: Final = """
import sys
from pathlib import Path
from lading.client import Session
from lading.links.emulated import open_emulated
from tests.support.local_agent import PROFILE, TARGET
from tests.integration.test_kill_matrix import NEW
home, command = Path(sys.argv[1]), sys.argv[2:]
with Session(open_emulated(home, TARGET, PROFILE, "emulated://test-board", command)) as agent:
    agent.push(NEW)
"""


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device on the old release."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    with session(home) as agent:
        agent.push(OLD)
    return home


@pytest.fixture(params=["update", "first"])
def home(request: pytest.FixtureRequest, prepared: Path, tmp_path: Path) -> Path:
    """A device on the old release, or on none."""
    home = tmp_path / "home"
    if request.param == "update":
        shutil.copytree(prepared, home, symlinks=True)
    return home


def judge(home: Path, step: str, before: str | None, *, exact: bool = True) -> None:
    """The device is on the old or the new release, and on the right one of them; the next push succeeds; nothing is
    left behind."""
    expected: set[str | None] = {before, NEW.release}
    if exact:
        expected = {before} if STEPS.index(step) <= SWITCHED else {NEW.release}
    assert_whole(home, "echo", expected)
    with session(home) as agent:
        assert_whole(home, "echo", expected)
        result = agent.push(NEW)
        assert result.release == NEW.release
        assert agent.run("echo").status == 0
    assert_whole(home, "echo", {NEW.release})
    with session(home) as agent:
        if before is not None:
            assert agent.rollback("echo")["current"] == before
            assert_whole(home, "echo", {before})
    assert_no_garbage(home)


def current(home: Path) -> str | None:
    return OLD.release if (home / "apps").exists() else None


@pytest.mark.parametrize("fault", ["exception", "no-space"])
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_in_the_agent(home: Path, step: str, fault: str) -> None:
    before = current(home)

    def on_step(name: str) -> None:
        if name == step:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if fault == "no-space" else RuntimeError("boom")

    with session(home, on_step) as agent:
        with pytest.raises(LadingError) as caught:
            agent.push(NEW)
        assert isinstance(caught.value, NoSpace) == (fault == "no-space")
        assert caught.value.remedy
        agent.ping()
    judge(home, step, before)


def faulty(folder: Path, step: str, fault: str) -> list[str]:
    return [sys.executable, str(FAULTY_AGENT), step, fault, str(folder)]


def wait_for_the_agents_end(folder: Path) -> None:
    """The faulty agent holds a lock as long as it lives."""
    with (folder / "alive").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)


@pytest.fixture
def updated(prepared: Path, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    shutil.copytree(prepared, home, symlinks=True)
    return home


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_of_the_agent(updated: Path, tmp_path: Path, step: str) -> None:
    command = faulty(tmp_path, step, "kill-agent")
    with (
        Session(open_emulated(updated, TARGET, PROFILE, "emulated://test-board", command)) as agent,
        pytest.raises(LadingError) as caught,
    ):
        agent.push(NEW)
    assert caught.value.code == "link-lost"
    assert caught.value.exit_status == 3
    judge(updated, step, OLD.release)


@pytest.mark.parametrize("step", STEPS)
def test_sigkill_of_the_client(updated: Path, tmp_path: Path, step: str) -> None:
    command = faulty(tmp_path, step, "kill-client")
    client = subprocess.run(
        [sys.executable, "-c", CLIENT, str(updated), *command],
        cwd=Path(__file__).parent.parent.parent,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert client.returncode == -9
    wait_for_the_agents_end(tmp_path)
    # The agent may have all that it needs when its client dies: then it goes on to the end.
    judge(updated, step, OLD.release, exact=STEPS.index(step) > SWITCHED)


@pytest.mark.parametrize("step", STEPS)
def test_a_cut_link(updated: Path, tmp_path: Path, step: str) -> None:
    for name in ("at-step", "go-on"):
        os.mkfifo(tmp_path / name)
    link = open_emulated(updated, TARGET, PROFILE, "emulated://test-board", faulty(tmp_path, step, "cut"))

    def cut() -> None:
        (tmp_path / "at-step").read_bytes()
        assert link._process.stdin is not None
        link._process.stdin.close()
        (tmp_path / "go-on").write_bytes(b"x")

    cutter = threading.Thread(target=cut)
    cutter.start()
    # A push that is too far to be stopped still answers; any other one ends by a named error.
    with Session(link) as agent, contextlib.suppress(LadingError):
        agent.push(NEW)
    cutter.join()
    wait_for_the_agents_end(tmp_path)
    judge(updated, step, OLD.release, exact=STEPS.index(step) > SWITCHED)
