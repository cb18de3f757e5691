"""What a device lost or spoilt is noticed, named, and brought again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading.bootstrap.cargo import Cargo
from tests.support.boards import HOME, session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lading.bootstrap.stages import Stage
    from tests.support.local_host import LocalHost


def flip(path: Path, at: int) -> None:
    """Flip one bit of a file."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, _: int) -> None:
    """Cut a file short."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path, _: int) -> None:
    """Empty a file."""
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [flip, cut, empty])
def test_a_damaged_agent_is_brought_again(host: LocalHost, spoil: Callable[[Path, int], None]) -> None:
    with session(host):
        pass
    agent = (host.home / HOME / "agent" / "current").resolve()
    whole = agent.read_bytes()
    spoil(agent, len(whole) // 2)
    with session(host) as opened:
        opened.ping()
    assert agent.read_bytes() == whole


@pytest.mark.parametrize("name", ["runner", "wasmtime", "litert"])
def test_a_bit_that_flipped_in_an_engine_is_found_named_and_mended(host: LocalHost, name: str) -> None:
    with session(host):
        pass
    current = json.loads((host.home / HOME / "engines" / "current.json").read_bytes())
    part = next(part for part in current["parts"] if part["name"] == name)
    blob = host.home / HOME / "blobs" / "sha256" / part["library"]["digest"].partition(":")[2]
    whole = blob.read_bytes()
    flip(blob, len(whole) // 3)
    stages: list[Stage] = []
    with session(host, on_stage=stages.append) as opened:
        opened.ping()
    assert any(f"{name} {part['version']}" in s.text and "again" in s.text for s in stages if s.name == "look")
    assert max(s.total for s in stages if s.name == "engines") == len(whole), "only the damaged one is sent"
    assert blob.read_bytes() == whole


@pytest.mark.parametrize("text", [b"", b"{}", b'{"parts": [{}]}', b"[" * 100_000, b"\0" * 900])
def test_a_damaged_list_of_engines_is_made_again_and_nothing_is_sent(host: LocalHost, text: bytes) -> None:
    with session(host):
        pass
    listed = host.home / HOME / "engines" / "current.json"
    whole = json.loads(listed.read_bytes())
    listed.write_bytes(text)
    stages: list[Stage] = []
    with session(host, on_stage=stages.append) as opened:
        assert "runtime-lading" in opened.hello.features
    assert any("list of the device's engines" in s.text for s in stages)
    assert max((s.total for s in stages if s.name == "engines"), default=0) == 0
    assert json.loads(listed.read_bytes())["parts"] == whole["parts"]


def test_damage_is_found_by_a_client_of_another_version_too(
    host: LocalHost, brought: Cargo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with session(host):
        pass
    blobs = host.home / HOME / "blobs" / "sha256"
    largest = max(blobs.iterdir(), key=lambda path: path.stat().st_size)
    whole = largest.read_bytes()
    flip(largest, len(whole) - 1)
    other = Cargo(brought.agent, {**brought.profile, "name": "changed"}, brought.engines)
    monkeypatch.setattr("lading.bootstrap.link.load_cargo", lambda _: other)
    with session(host) as opened:
        opened.ping()
    assert largest.read_bytes() == whole


def test_a_python_that_went_away_is_looked_for_again(host: LocalHost) -> None:
    with session(host):
        pass
    for ready in (host.home / HOME / "agent").glob("*.ready"):
        ready.write_text("/usr/bin/python3-that-was\n")
    with session(host) as opened:
        opened.ping()
