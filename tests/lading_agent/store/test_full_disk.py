"""A device without a free byte still answers: otherwise nobody could make room on it."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.errors import AgentError
from lading_agent.serve import server
from lading_agent.store import durable
from lading_agent.store.lock import locked
from tests.support.cargo import cargo
from tests.support.local_agent import session

if TYPE_CHECKING:
    from pathlib import Path


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_lock_is_held_though_nobody_can_be_told_by_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pwrite", no_space)
    with locked(tmp_path / "lock", {"user": "u"}, "push"):
        monkeypatch.undo()
        monkeypatch.setattr("lading_agent.store.lock.SWEEP_PATIENCE_S", 0.0)
        with pytest.raises(AgentError) as refused, locked(tmp_path / "lock", {}, "gc"):
            pass
    assert refused.value.code == "lock-held"


def test_a_sweep_that_finds_no_room_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    with session(home) as agent:
        agent.push(cargo())
    monkeypatch.setattr(server, "sweep", no_space)
    with session(home) as agent:
        assert agent.status()["apps"]["echo"]["current"] == cargo().release
        assert agent.run("echo").status == 0
        agent.remove("echo")


def test_what_could_not_be_written_leaves_no_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        durable.replace_file(tmp_path / "history", b"x", tmp_path / "scratch")
    assert list(tmp_path.iterdir()) == []
