"""What tests of the whole command share: a home of their own, an emulated board of their own, the digits example."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.command import Lading
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lading(tmp_path: Path) -> Lading:
    """The command, at home in the test's own folder."""
    for folder in ("home", "here"):
        (tmp_path / folder).mkdir()
    return Lading(tmp_path / "home", tmp_path / "here")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the test's emulated board keeps what it holds."""
    return tmp_path / "board"


@pytest.fixture
def board(store: Path) -> str:
    """The address of the test's emulated board."""
    return f"emulated://raspberry-pi-4b?state={store}"


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A copy of the digits example to pack and to change."""
    ignore = shutil.ignore_patterns("dist", "*.c", "*.py")
    return shutil.copytree(EXAMPLES / "digits", tmp_path / "digits", ignore=ignore)


@pytest.fixture(scope="session")
def digits_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits example, packed once by the command itself."""
    folder = tmp_path_factory.mktemp("digits")
    (folder / "home").mkdir()
    path = folder / "digits.lading"
    Lading(folder / "home", folder)("pack", EXAMPLES / "digits", "-o", path)
    return path
