"""What must be true of a store, whatever happened to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading_agent.store.blobs import is_intact
from lading_agent.store.layout import Layout
from lading_agent.store.lock import holder
from lading_agent.store.releases import INSTALLED, Releases

if TYPE_CHECKING:
    from pathlib import Path


def assert_whole(home: Path, app: str, allowed: set[str | None]) -> str | None:
    """The current release is one of ``allowed``, complete to the last byte; nobody holds the lock."""
    layout = Layout(home)
    releases = Releases(layout, app)
    current = releases.current()
    assert current in allowed
    assert holder(layout.lock) is None
    if current is not None:
        assert layout.current(app).resolve() == layout.release(app, current).resolve()
        release = releases.read(current)
        assert release is not None
        assert release.state == INSTALLED
        bill = releases.bill(current)
        assert dict(release.blobs) == bill.blobs(release.variant)
        for digest in release.blobs:
            assert is_intact(layout, digest), f"{digest} of the current release is damaged"
        for number, directory in enumerate(bill.dirs):
            for file in directory.files:
                path = layout.release(app, current) / "dirs" / str(number) / file.path
                assert path.read_bytes() == layout.blob(file.digest).read_bytes()
    return current


def assert_no_garbage(home: Path) -> None:
    """Nothing is there but what installed releases need."""
    layout = Layout(home)
    assert sorted(p.name for p in layout.staging.iterdir()) == []
    needed: set[str] = set()
    for app in layout.app_names():
        releases = Releases(layout, app)
        for release_id in layout.release_ids(app):
            release = releases.read(release_id)
            assert release is not None, f"{release_id} is half a release"
            assert release.state == INSTALLED
            needed |= {digest.removeprefix("sha256:") for digest in release.blobs}
        extra = {p.name for p in layout.app(app).iterdir()} - {
            "releases",
            "current",
            "history",
            "pins",
            "state",
            "runs",
        }
        assert not extra
    assert {p.name for p in layout.blobs.iterdir()} == needed
