"""Removing a device takes everything away that was ever brought there, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bootstrap import purge
from lading.errors import LadingError
from tests.support.boards import HOME, session

if TYPE_CHECKING:
    from tests.support.local_host import LocalHost


def test_nothing_is_left(host: LocalHost) -> None:
    with session(host):
        pass
    done = purge(host)
    assert (done.found, done.removed, done.left, done.notes) == (True, True, (), ())
    assert list(host.home.iterdir()) == []
    again = purge(host)
    assert (again.found, again.removed) == (False, True)


def test_folders_that_were_there_before_stay(host: LocalHost) -> None:
    (host.home / ".local" / "share").mkdir(parents=True)
    with session(host):
        pass
    assert purge(host).removed
    assert [p.name for p in (host.home / ".local").iterdir()] == ["share"]


def test_what_is_somebody_elses_stays_and_is_named(host: LocalHost) -> None:
    with session(host):
        pass
    (host.home / HOME / "notes.txt").write_text("mine")
    done = purge(host)
    assert not done.removed
    assert done.left == ("notes.txt",)
    assert [p.name for p in (host.home / HOME).iterdir()] == ["notes.txt"]


def test_a_folder_that_is_no_home_is_left_alone(host: LocalHost) -> None:
    (host.home / "data" / "apps").mkdir(parents=True)
    assert not purge(host, "data").found
    assert (host.home / "data" / "apps").is_dir()


@pytest.mark.parametrize("lost", ["agent/current", "agent/python"])
def test_without_an_agent_that_could_do_it_it_is_done_all_the_same(host: LocalHost, lost: str) -> None:
    with session(host):
        pass
    (host.home / HOME / lost).unlink()
    done = purge(host)
    assert done.removed
    assert any("systemd or cron" in note for note in done.notes)
    assert not (host.home / HOME).exists()


def test_a_folder_that_nobody_may_remove_is_told(host: LocalHost) -> None:
    with session(host):
        pass
    host.shell = ["/bin/false"]
    with pytest.raises(LadingError, match="could not be cleaned"):
        purge(host)


@pytest.mark.parametrize("looks_like_ours", ["agent/server.jar", "device.json"])
def test_a_folder_of_somebody_elses_with_our_names_in_it_is_left_alone(host: LocalHost, looks_like_ours: str) -> None:
    theirs = [host.home / "srv" / name for name in (looks_like_ours, "apps/mine", "cache/mine", "lock")]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    assert not purge(host, "srv").found
    assert [path.read_text() for path in theirs] == ["mine"] * 4


def test_what_was_measured_of_a_runtime_goes_too(host: LocalHost) -> None:
    with session(host):
        pass
    (host.home / HOME / "runtimes.json").write_text("{}")
    assert purge(host).removed


def test_a_home_behind_a_link_is_emptied_and_nothing_beside_it(host: LocalHost) -> None:
    (host.home / "disk" / "store").mkdir(parents=True)
    (host.home / "disk" / "mine").write_text("mine")
    (host.home / "link").symlink_to(host.home / "disk" / "store")
    with session(host, "link"):
        pass
    purge(host, "link")
    assert [p.name for p in (host.home / "disk").iterdir()] == ["mine"]
