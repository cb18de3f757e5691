"""The agent takes its place and keeps it tidy."""

from __future__ import annotations

import fcntl
import hashlib
import json
import marshal
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lading.client.zipapp import build_agent
from lading_agent.bootstrap.answer import MARK
from lading_agent.bootstrap.install import clean
from lading_agent.errors import AgentError
from lading_agent.start import MAGIC, Compiled, code_path, head, read_codes
from lading_agent.store.layout import Layout
from lading_agent.store.ready import MOST, mark_ready, mark_unready, ready_path

if TYPE_CHECKING:
    from collections.abc import Callable
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
    codes = [agent.with_suffix(".code") for agent in agents]
    for path in (incoming, stale, other, *codes):
        path.write_text("x")
    with agents[1].open("rb") as running:
        fcntl.flock(running, fcntl.LOCK_SH)
        gone = clean(layout)
    assert set(gone) == {agents[0].name, agents[2].name, stale.name}
    assert all(path.exists() for path in (agents[1], agents[3], agents[4], incoming, other))
    assert [code.exists() for code in codes] == [agent.exists() for agent in agents]


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


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """An agent under a name that tells its digest."""
    data = build_agent(with_host=False)
    path = tmp_path / f"0.1.0-{hashlib.sha256(data).hexdigest()[:12]}.pyz"
    path.write_bytes(data)
    return path


def version(agent: Path) -> str:
    """What an agent says of itself."""
    words = [sys.executable, "-I", "-S", "-W", "error", str(agent), "version"]
    return subprocess.run(words, capture_output=True, check=True, text=True).stdout


def pretend(agent: Path, said: str) -> None:
    """Put compiled code beside an agent that gives it another version than its text does."""
    digest = hashlib.sha256(agent.read_bytes()).digest()
    codes = read_codes(code_path(agent), digest)
    assert codes is not None
    code = compile(f"__version__ = {said!r}; PROTOCOL = 1", "test", "exec")
    codes["lading_agent"] = (True, marshal.dumps(code))
    payload = marshal.dumps(codes)
    code_path(agent).write_bytes(head(digest, payload) + payload)


def test_an_agent_compiles_itself_once(agent: Path) -> None:
    said = version(agent)
    assert {path.name for path in agent.parent.iterdir()} == {agent.name, code_path(agent).name}
    pretend(agent, "of its code")
    assert version(agent).startswith("of its code ")
    assert not said.startswith("of its code ")


def other_python(code: bytes) -> bytes:
    """The code of another Python."""
    return MAGIC + bytes(4) + code[len(MAGIC) + 4 :]


def other_agent(code: bytes) -> bytes:
    """The code of another agent."""
    return code[: len(MAGIC) + 4] + bytes(32) + code[len(MAGIC) + 36 :]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda code: code[:-1],
        lambda code: code[: len(code) // 2],
        lambda _: b"",
        lambda code: code[:-9] + bytes([code[-9] ^ 1]) + code[-8:],
        other_python,
        other_agent,
    ],
    ids=["short", "half", "empty", "flipped", "other Python", "other agent"],
)
def test_code_that_is_not_the_agents_own_is_made_again(agent: Path, spoil: Callable[[bytes], bytes]) -> None:
    said = version(agent)
    good = code_path(agent).read_bytes()
    pretend(agent, "of its code")
    code_path(agent).write_bytes(spoil(code_path(agent).read_bytes()))
    assert version(agent) == said
    assert code_path(agent).read_bytes() == good


def test_an_agent_starts_where_its_code_cannot_be_kept(agent: Path) -> None:
    code_path(agent).mkdir()
    assert version(agent) == version(agent)
    assert {path.name for path in agent.parent.iterdir()} == {agent.name, code_path(agent).name}


def test_compiled_code_has_its_text_for_tracebacks(agent: Path) -> None:
    version(agent)
    codes = read_codes(code_path(agent), hashlib.sha256(agent.read_bytes()).digest())
    assert codes is not None
    compiled = Compiled(agent, codes)
    assert "class AgentError" in compiled.get_source("lading_agent.errors")
    assert "PROTOCOL" in compiled.get_source("lading_agent")


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
