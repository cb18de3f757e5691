"""The agent takes its place and keeps it tidy."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lading.client.zipapp import build_agent
from lading_agent.bootstrap.answer import MARK
from lading_agent.bootstrap.install import clean
from lading_agent.errors import AgentError
from lading_agent.store.layout import Layout
from lading_agent.store.ready import MOST, mark_ready, mark_unready, ready_path

if TYPE_CHECKING:
    from pathlib import Path

READY = "0123456789abcdef"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home")
    made.prepare()
    made.agent.mkdir()
    return made


def place(layout: Layout, number: int) -> Path:
    """An agent's file of some version."""
    path = layout.agent / f"0.{number}.0-{number:012x}.pyz"
    path.write_text(str(number))
    return path


def test_agents_that_nobody_needs_go_and_what_runs_or_arrives_stays(layout: Layout) -> None:
    agents = [place(layout, number) for number in range(5)]
    (layout.agent / "current").symlink_to(agents[4].name)
    (layout.agent / "previous").symlink_to(agents[3].name)
    incoming = layout.agent / f"incoming-{os.getppid()}.pyz"
    stale = layout.agent / "incoming-999999999.pyz"
    other = layout.agent / "notes.txt"
    for path in (incoming, stale, other):
        path.write_text("x")
    with agents[1].open("rb") as running:
        fcntl.flock(running, fcntl.LOCK_SH)
        gone = clean(layout)
    assert set(gone) == {agents[0].name, agents[2].name, stale.name}
    assert all(path.exists() for path in (agents[1], agents[3], agents[4], incoming, other))


def test_an_agent_knows_whether_it_is_whole(tmp_path: Path) -> None:
    data = build_agent(with_host=False)
    digest = hashlib.sha256(data).hexdigest()[:12]
    path = tmp_path / f"0.1.0-{digest}.pyz"
    path.write_bytes(data)
    command = [sys.executable, "-I", "-S"]
    assert subprocess.run([*command, str(path), "version"], capture_output=True, check=True).stdout
    link = tmp_path / "current"
    link.symlink_to(path.name)
    assert subprocess.run([*command, str(link), "version"], capture_output=True, check=True).stdout
    spoilt = bytearray(data)
    spoilt[len(data) // 2] ^= 4
    path.write_bytes(spoilt)
    done = subprocess.run([*command, str(path), "version"], capture_output=True, check=False, text=True)
    assert done.returncode == 1
    answer = next(line for line in done.stdout.splitlines() if line.startswith(MARK))
    assert "damaged" in json.loads(answer[len(MARK) :])["again"]


def test_only_so_many_clients_find_everything_ready(layout: Layout) -> None:
    ids = [f"{number:016x}" for number in range(MOST + 3)]
    for ready in ids:
        ready_path(layout, ready).with_suffix(".json").write_text("{}")
        mark_ready(layout, ready)
    assert len(list(layout.agent.glob("*.ready"))) == MOST
    assert ready_path(layout, ids[-1]).read_text().strip() == sys.executable
    assert len(list(layout.agent.glob("*.json"))) == MOST
    mark_unready(layout)
    assert list(layout.agent.glob("*.ready")) == []


@pytest.mark.parametrize("name", ["", "x", "../../../etc/passwd", READY.upper(), READY + "0", READY[:-1] + "/"])
def test_a_name_that_could_lead_elsewhere_is_no_name(layout: Layout, name: str) -> None:
    with pytest.raises(AgentError, match="does not name"):
        mark_ready(layout, name)
