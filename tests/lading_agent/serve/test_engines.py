"""The request ``engines``: what comes is whole, tried, and only then the default."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import pytest

from lading.bootstrap.check import Check
from lading.client.connection import Connection
from lading.client.installing import install_engines, list_engines, mark_ready, roll_back_engines
from lading.engines.parts import EnginePart
from lading.errors import DeviceError, EngineFailed, LadingError, LockHeld, UsageError
from lading_agent.store.layout import Layout
from lading_agent.store.lock import locked
from tests.support.local_agent import LocalLink, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHECK = Check(b"module", b"model", b"good\n")
READY = "0123456789abcdef"
RUNNER = """#!/bin/sh
# version {version}
while [ $# -gt 0 ]; do
  if [ "$1" = --report ]; then report=/proc/self/fd/$2; fi
  shift
done
echo {says}
echo '{{"event":"end","outcome":"exit","status":{status},"kind":"exit","message":"","remedy":""}}' >$report
exit {status}
"""


@contextlib.contextmanager
def connected(home: Path) -> Iterator[Connection]:
    """A connection to a fresh agent."""
    link = LocalLink(served(home))
    connection = Connection(link)
    try:
        yield connection
    finally:
        connection.close()


def parts(folder: Path, version: str, *, says: str = "good", status: int = 0) -> list[EnginePart]:
    """A set whose runner is a script."""
    folder.mkdir(exist_ok=True)
    licence = folder / "LICENCE"
    licence.write_text("do what you like")
    texts = {
        "runner": RUNNER.format(version=version, says=says, status=status),
        "wasmtime": f"wasmtime {version} " * 1000,
        "litert": f"litert {version} " * 100_000,
    }
    made = []
    for name, text in texts.items():
        path = folder / f"{name}-{version}"
        path.write_text(text)
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        made.append(EnginePart(name, version, "x86_64", path, digest, len(text), (licence,), {"glibc": "2.28"}))
    return made


def versions(connection: Connection, key: str = "current") -> set[str]:
    """The versions of a set."""
    return {part["version"] for part in list_engines(connection)[key] or ()}


def test_a_set_that_infers_right_becomes_the_default_and_everything_is_ready(tmp_path: Path) -> None:
    events: list[str] = []
    with connected(tmp_path / "home") as connection:
        done = install_engines(
            connection, parts(tmp_path / "e", "1.0"), CHECK, ready=READY, on_event=lambda name, _: events.append(name)
        )
        assert versions(connection) == {"1.0"}
    assert events == ["check"]
    assert done.sent_blobs == 4  # one licence for all
    layout = Layout(tmp_path / "home")
    assert (layout.agent / f"{READY}.ready").is_file()
    assert list(layout.staging.iterdir()) == []


def test_the_same_set_again_sends_nothing(tmp_path: Path) -> None:
    with connected(tmp_path / "home") as connection:
        for sent in (4, 0):
            assert install_engines(connection, parts(tmp_path / "e", "1.0"), CHECK).sent_blobs == sent


@pytest.mark.parametrize(("says", "status"), [("evil", 0), ("good", 70)])
def test_a_set_that_does_not_infer_right_leaves_the_old_one(tmp_path: Path, says: str, status: int) -> None:
    with connected(tmp_path / "home") as connection:
        install_engines(connection, parts(tmp_path / "e", "1.0"), CHECK)
        with pytest.raises(EngineFailed, match=r"litert 2\.0"):
            install_engines(connection, parts(tmp_path / "e", "2.0", says=says, status=status), CHECK, ready=READY)
        assert versions(connection) == {"1.0"}
    assert not (Layout(tmp_path / "home").agent / f"{READY}.ready").exists()


def test_an_earlier_set_can_be_gone_back_to_and_the_one_before_that_goes(tmp_path: Path) -> None:
    with connected(tmp_path / "home") as connection:
        for version in ("1.0", "2.0", "3.0"):
            install_engines(connection, parts(tmp_path / "e", version), CHECK)
        assert {part["version"] for part in list_engines(connection)["parts"]} == {"2.0", "3.0"}
        roll_back_engines(connection)
        assert (versions(connection), versions(connection, "previous")) == ({"2.0"}, {"3.0"})


def test_content_that_is_not_what_it_was_announced_as_is_refused(tmp_path: Path) -> None:
    made = parts(tmp_path / "e", "1.0")
    made[2].library.write_bytes(b"x" * made[2].size)
    with connected(tmp_path / "home") as connection:
        with pytest.raises(LadingError, match="the engine is damaged"):
            install_engines(connection, made, CHECK)
        assert versions(connection) == set()


def test_a_damaged_blob_that_is_there_already_is_sent_anew(tmp_path: Path) -> None:
    made = parts(tmp_path / "e", "1.0")
    with connected(tmp_path / "home") as connection:
        install_engines(connection, made, CHECK)
        blob = Layout(tmp_path / "home").blob(made[1].digest)
        blob.chmod(0o644)
        blob.write_bytes(b"x" * made[1].size)
        assert install_engines(connection, made, CHECK).sent_blobs == 1
        assert blob.read_bytes() == made[1].library.read_bytes()


def test_who_comes_second_is_told_who_is_at_work(tmp_path: Path) -> None:
    with connected(tmp_path / "home") as connection:
        owner = {"user": "ada", "host": "bench", "pid": 1}
        with locked(Layout(tmp_path / "home").lock, owner, "push of digits"), pytest.raises(LockHeld, match="ada"):
            install_engines(connection, parts(tmp_path / "e", "1.0"), CHECK)


def test_requests_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with connected(tmp_path / "home") as connection:
        with pytest.raises(UsageError, match="one each of"):
            install_engines(connection, parts(tmp_path / "e", "1.0")[:2], CHECK)
        with pytest.raises(UsageError, match="does not name"):
            mark_ready(connection, "../../x")
        with pytest.raises(UsageError, match="no action"):
            connection.ask("engines", action="explode")
        with pytest.raises(DeviceError, match="no earlier set"):
            roll_back_engines(connection)
