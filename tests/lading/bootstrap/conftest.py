"""Engines for all tests of a session: taken from the installed packages once, without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bootstrap.cargo import Cargo, load_cargo
from tests.support.local_host import LocalHost

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("LADING_ENGINES", raising=False)


@pytest.fixture(scope="session")
def brought() -> Cargo:
    return load_cargo()


@pytest.fixture(autouse=True)
def same_cargo(brought: Cargo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once: whoever edits the agent while tests run changes what comes next, not what is under way."""
    monkeypatch.setattr("lading.bootstrap.link.load_cargo", lambda _: brought)


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    return LocalHost(tmp_path / "board")
