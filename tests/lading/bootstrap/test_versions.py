"""A client of another version brings its own agent; the earlier one stays, and can be gone back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import roll_back
from lading.bootstrap.cargo import Cargo
from lading.errors import DeviceError
from tests.support.boards import HOME, session

if TYPE_CHECKING:
    from collections.abc import Callable

    from lading.bootstrap.stages import Stage
    from tests.support.local_host import LocalHost

OURS = b'__version__ = "'


@pytest.fixture
def become(brought: Cargo, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Cargo]:
    """Become a lading of another version (written with as many characters)."""
    cargo = brought

    def change(version: str) -> Cargo:
        at = cargo.agent.index(OURS) + len(OURS)
        agent = cargo.agent[:at] + version.encode() + cargo.agent[at + len(version) :]
        other = Cargo(agent, cargo.profile, cargo.engines)
        monkeypatch.setattr("lading.bootstrap.link.load_cargo", lambda _: other)
        return other

    return change


def test_another_version_brings_its_agent_and_no_engine(host: LocalHost, become: Callable[[str], Cargo]) -> None:
    for version in ("0.7.1", "0.7.2"):
        become(version)
        stages: list[Stage] = []
        with session(host, on_stage=stages.append) as opened:
            assert opened.hello.agent_version == version
    assert max((s.total for s in stages if s.name == "engines"), default=0) == 0
    before = len(host.commands)
    for version in ("0.7.1", "0.7.2"):
        become(version)
        with session(host) as opened:
            assert opened.hello.agent_version == version
    assert len(host.commands) == before + 2, "both are there: nothing is brought back and forth"


def test_two_agents_are_kept_and_one_can_go_back(host: LocalHost, become: Callable[[str], Cargo]) -> None:
    brought = []
    for version in ("0.7.1", "0.7.2", "0.7.3"):
        brought.append(become(version))
        with session(host):
            pass
    agents = host.home / HOME / "agent"
    assert {p.name for p in agents.glob("*.pyz")} == {c.file_name for c in brought[1:]}
    assert roll_back(host) == brought[1].file_name
    assert (agents / "current").readlink().name == brought[1].file_name
    assert roll_back(host) == brought[2].file_name


def test_an_agent_that_still_runs_is_not_removed(host: LocalHost, become: Callable[[str], Cargo]) -> None:
    first = become("0.7.1")
    with session(host) as running:
        for version in ("0.7.2", "0.7.3"):
            become(version)
            with session(host):
                pass
        assert (host.home / HOME / "agent" / first.file_name).is_file()
        running.status()
    become("0.7.4")
    with session(host):
        pass
    assert not (host.home / HOME / "agent" / first.file_name).exists()


def test_without_an_earlier_agent_there_is_nothing_to_go_back_to(host: LocalHost) -> None:
    with session(host):
        pass
    with pytest.raises(DeviceError, match="no earlier agent"):
        roll_back(host)


def test_another_profile_is_brought_with_the_same_agent(
    host: LocalHost, brought: Cargo, monkeypatch: pytest.MonkeyPatch
) -> None:
    cargo = brought
    with session(host):
        pass
    other = Cargo(cargo.agent, {**cargo.profile, "name": "changed"}, cargo.engines)
    monkeypatch.setattr("lading.bootstrap.link.load_cargo", lambda _: other)
    with session(host) as opened:
        assert opened.describe()["profile"]["name"] == "changed"
    monkeypatch.setattr("lading.bootstrap.link.load_cargo", lambda _: cargo)
    with session(host) as opened:
        assert opened.describe()["profile"].get("name") != "changed"


def test_a_damaged_earlier_agent_is_not_gone_back_to(host: LocalHost, become: Callable[[str], Cargo]) -> None:
    brought = []
    for version in ("0.7.1", "0.7.2"):
        brought.append(become(version))
        with session(host):
            pass
    agents = host.home / HOME / "agent"
    (agents / brought[0].file_name).write_bytes(brought[0].agent[:1000])
    with pytest.raises(DeviceError, match="is damaged"):
        roll_back(host)
    assert (agents / "current").readlink().name == brought[1].file_name, "services still start"
