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
