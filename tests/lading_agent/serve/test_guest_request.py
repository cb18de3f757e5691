"""A guest of the client's meets a release's models, and nothing else of the release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lading.bundle import open_bundle, pack
from lading.client import connect
from lading.client.events import Output
from lading.devices import resolve
from lading.errors import LadingError, UsageError, VersionMismatch
from lading.project import load_project
from lading_agent.serve.guest import MOST_BYTES
from tests.support import wat_guests as guests
from tests.support.apps import write_app
from tests.support.command import listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.client import Session


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    """A board that has an app with arguments and a state directory."""
    app = write_app(tmp_path / "app", guests.says("the app"), state="/var", app='args = ["secret"]')
    bundle = pack(load_project(app), tmp_path / "app.lading").path
    with connect(resolve(f"emulated://raspberry-pi-4b?state={tmp_path / 'board'}")) as opened:
        with open_bundle(bundle) as cargo:
            opened.push(cargo)
        yield opened


def heard(session: Session, guest: bytes, **options: Any) -> tuple[int, str, str]:
    """Status, kind and what the guest wrote."""
    said = bytearray()
    result = session.run_guest(
        guest, "app", on_event=lambda e: said.extend(e.data) if isinstance(e, Output) else None, **options
    )
    return result.status, result.kind, said.decode()


def test_it_reads_and_writes_like_any_guest(session: Session) -> None:
    assert heard(session, guests.echoes(), stdin=b"there and back" * 10_000) == (0, "exit", "there and back" * 10_000)
    assert heard(session, guests.exits(7)) == (7, "exit", "")


def test_arguments_and_directories_of_the_app_are_not_its(session: Session) -> None:
    assert "secret" not in heard(session, guests.tells_its_arguments())[2]
    assert heard(session, guests.writes_a_file("out", "x"))[0] != 0


def test_nothing_of_it_stays(session: Session, tmp_path: Path) -> None:
    before = listing(tmp_path / "board")
    heard(session, guests.says("gone"))
    assert listing(tmp_path / "board") == before


def test_it_is_kept_in_the_runs_limits(session: Session) -> None:
    assert heard(session, guests.spins(), timeout_s=0.3)[:2] == (125, "time-limit")


def test_what_is_no_module_is_an_end_of_a_run(session: Session) -> None:
    assert heard(session, b"not wasm")[0] == 126


def test_a_guest_without_end_is_refused_before_it_is_sent(session: Session) -> None:
    with pytest.raises(UsageError, match="'guest' is not an integer between 1"):
        session._connection.ask("run", app="app", guest=MOST_BYTES + 1)
    with pytest.raises(UsageError, match="does not go on without it"):
        session._connection.ask("run", app="app", guest=1, detach=True)
    with pytest.raises(LadingError):
        session._connection.ask("run", app="app", guest="x")
    session.ping()


def test_an_agent_that_does_not_know_of_it_is_not_asked(session: Session) -> None:
    features = session.hello.features
    object.__setattr__(session.hello, "features", tuple(f for f in features if f != "guest"))
    with pytest.raises(VersionMismatch, match="guest"):
        session.run_guest(guests.exits(0), "app")
