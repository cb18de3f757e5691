"""Cut anywhere, a bootstrap leaves nothing half-done that would be used, and the next one goes on from there."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import agent_link
from lading.errors import LadingError, LinkLost
from tests.support.boards import HOME, CutHost, session

if TYPE_CHECKING:
    from pathlib import Path

CUTS = 8


@pytest.mark.parametrize("command", range(4))
def test_a_connection_that_fails_at_any_command_is_made_good_by_the_next(tmp_path: Path, command: int) -> None:
    host = CutHost(tmp_path / "board")

    def fail(_: str) -> None:
        if len(host.commands) == command:
            raise LinkLost("cut")

    host.on_command = fail
    with pytest.raises(LinkLost):
        agent_link(host)
    host.on_command = None
    with session(host) as opened:
        opened.ping()


def test_a_cut_at_any_byte_is_made_good_by_the_next_try(tmp_path: Path) -> None:
    chance = random.Random(5)
    host = CutHost(tmp_path / "board")
    # Each try goes on where the last one stopped: together they stay below what is to be sent.
    for at in [0, *(chance.randrange(600_000) for _ in range(3)), *(chance.randrange(3_500_000) for _ in range(CUTS))]:
        host.cut_after(at)
        with pytest.raises((LadingError, OSError)):
            agent_link(host)
        agent = host.home / HOME / "agent"
        assert not list(agent.glob("*.ready")), f"a cut after {at} bytes is taken for a whole bootstrap"
    host.cut_after(1 << 60)
    with session(host) as opened:
        opened.ping()
    assert list((host.home / HOME / "staging").iterdir()) == []
    assert not list((host.home / HOME / "agent").glob("incoming-*"))


def test_what_had_arrived_of_an_engine_is_not_sent_again(tmp_path: Path) -> None:
    host = CutHost(tmp_path / "board")
    host.cut_after(20_000_000)
    with pytest.raises((LadingError, OSError)):
        agent_link(host)
    host.cut_after(1 << 60)
    sent: list[int] = []
    with session(host, on_stage=lambda stage: sent.append(stage.total) if stage.name == "engines" else None):
        pass
    assert 0 < max(sent) < 32_219_125 - 18_000_000
