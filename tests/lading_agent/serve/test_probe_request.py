"""The requests ``facts`` and ``probe``: bounded, never near the store, honest about emulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lading.client import Session
from lading.client.connection import Connection
from lading.errors import LadingError
from lading_agent.serve.probe import MOST_BYTES
from tests.support.local_agent import LocalLink, served

if TYPE_CHECKING:
    from pathlib import Path


def test_the_facts_of_a_real_device_are_this_machines(tmp_path: Path) -> None:
    with Session(LocalLink(served(tmp_path / "home"))) as session:
        found = session.facts()
        assert session.round_trips == 1
    assert found["emulated"] is False
    assert found["facts"]["system"]["kernel"] == "Linux"
    assert found["sources"]["cpuinfo"]


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"guests": "x", "models": []},
        {"guests": [{"name": "a"}], "models": []},
        {"guests": [{"name": "a", "size": -1}], "models": []},
        {"guests": [{"name": "a", "size": True}], "models": []},
        {"guests": [{"name": 1, "size": 1}], "models": []},
        {"guests": [{"name": "a", "size": 1}] * 2000, "models": []},
        {"guests": [], "models": [{"name": "m", "size": MOST_BYTES + 1}]},
        {"guests": [], "models": [], "at_once": 1000},
    ],
)
def test_a_request_of_another_shape_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    connection = Connection(LocalLink(served(tmp_path / "home")))
    try:
        with pytest.raises(LadingError):
            connection.ask("probe", **request_)
        assert connection.ask("ping") == {}
    finally:
        connection.close()


def test_no_guests_is_no_work(tmp_path: Path) -> None:
    with Session(LocalLink(served(tmp_path / "home"))) as session:
        assert session.probe([]) == []
