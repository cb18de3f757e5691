from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.errors import AgentError
from lading_agent.store import collect, space
from lading_agent.store.layout import Layout
from lading_agent.store.lock import SWEEP, holder, locked
from lading_agent.store.releases import Releases
from lading_agent.store.space import Room
from lading_agent.store.steps import Steps
from tests.support.cargo import cargo
from tests.support.local_agent import session
from tests.support.stores import assert_no_garbage, assert_whole

if TYPE_CHECKING:
    from pathlib import Path

OWNER = {"user": "ada", "host": "laptop", "pid": 42}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "home")
    layout.prepare()
    return layout


# -- lock -------------------------------------------------------------------------------------------------------------


def test_the_second_is_told_who_holds_the_lock(layout: Layout) -> None:
    with locked(layout.lock, OWNER, "push of echo 1.0.0"):
        with pytest.raises(AgentError) as caught, locked(layout.lock, OWNER, "another"):
            pass
        assert caught.value.code == "lock-held"
        assert "ada@laptop (process 42)" in caught.value.message
        assert caught.value.details["held_s"] >= 0
    assert holder(layout.lock) is None


def test_a_lock_whose_holder_was_killed_is_free(layout: Layout) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom lading_agent.store.lock import locked\n"
        "with locked(Path(sys.argv[1]), {'user': 'x'}, 'y'):\n print('in', flush=True)\n time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(layout.lock)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert holder(layout.lock) is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert holder(layout.lock) is None
    with locked(layout.lock, OWNER, "z"):
        pass


def test_a_lock_file_with_junk_in_it_does_no_harm(layout: Layout) -> None:
    layout.lock.write_bytes(b"\xff{{{")
    with locked(layout.lock, OWNER, "push"):
        assert (holder(layout.lock) or {})["purpose"] == "push"


def test_a_start_up_sweep_is_waited_for(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    held = locked(layout.lock, {}, SWEEP)
    held.__enter__()
    monkeypatch.setattr("lading_agent.store.lock.time.sleep", lambda _: held.__exit__(None, None, None))
    with locked(layout.lock, OWNER, "push"):
        pass


# -- space ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("room", "need", "inodes", "missing"),
    [
        (Room(1_000_000, None, None), 900_000, 0, "missing_bytes"),
        (Room(10**9, None, 500_000), 400_000, 0, "missing_bytes"),
        (Room(10**9, None, -5), 1, 0, "missing_bytes"),
        (Room(10**9, 100, None), 1, 100, "missing_inodes"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_is_missing(room: Room, need: int, inodes: int, missing: str) -> None:
    with pytest.raises(AgentError) as caught:
        space.require(room, need, inodes)
    assert caught.value.code == "no-space"
    assert caught.value.details[missing] > 0
    assert str(caught.value.details[missing]) in caught.value.message


def test_what_fits_fits(layout: Layout) -> None:
    space.require(space.measure(layout.home, None), 1000, 10)
    space.require(Room(10**9, 1000, 10**9), 10**6, 100)
    space.require(Room(0, 1000, 0), 0, 1)


def test_a_file_with_several_names_counts_once(layout: Layout) -> None:
    before = space.disk_use(layout.home)
    (layout.staging / "a").write_bytes(bytes(1_000_000))
    once = space.disk_use(layout.home)
    (layout.staging / "b").hardlink_to(layout.staging / "a")
    assert space.disk_use(layout.home) == once >= before + 1_000_000


# -- sweep and release directories ------------------------------------------------------------------------------------


def test_the_sweep_takes_what_a_power_cut_left_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "home"
    layout = Layout(home)
    with session(home) as agent:
        release = agent.push(cargo()).release
    wanted, stray = "a" * 64, "b" * 64
    (layout.staging / "tmp-1-1").mkdir()
    (layout.staging / "tmp-1-1" / "x").write_text("x")
    (layout.staging / "tmp-2-2").symlink_to("nowhere")
    (layout.staging / f"{wanted}.part").write_text("half")
    (layout.staging / f"{stray}.part").write_text("half")
    (layout.blobs / stray).write_text("nobody's")
    layout.intent("other").write_text(json.dumps({"blobs": {f"sha256:{wanted}": 10}}))
    half = layout.releases("echo") / ("9.9.9-" + "0" * 16)
    half.mkdir()
    (half / "release.json").write_text("{")
    (layout.app("echo") / "history").unlink()
    collect.sweep(layout)
    assert sorted(p.name for p in layout.staging.iterdir()) == [f"{wanted}.part", "other.intent"]
    assert not half.exists()
    assert Releases(layout, "echo").history()[-1]["release"] == release
    collect.drop_unneeded(layout, intents=False)
    assert_no_garbage(home)
    assert_whole(home, "echo", {release})


def test_a_current_release_whose_record_is_damaged_keeps_its_content(tmp_path: Path) -> None:
    home = tmp_path / "home"
    layout = Layout(home)
    with session(home) as agent:
        release = agent.push(cargo()).release
    blobs = sorted(p.name for p in layout.blobs.iterdir())
    (layout.release("echo", release) / "release.json").write_text("{")
    with session(home) as agent:
        assert sorted(p.name for p in layout.blobs.iterdir()) == blobs
        agent.push(cargo())
    assert_whole(home, "echo", {release})


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK])
def test_shipped_files_are_copied_where_links_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("lading_agent.store.install.os.link", no_links)
    home = tmp_path / "home"
    with session(home) as agent:
        release = agent.push(cargo()).release
        agent.push(cargo(), force=True)
    assert_whole(home, "echo", {release})


def test_shipped_files_are_the_very_blobs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    bundle = cargo()
    with session(home) as agent:
        agent.push(bundle)
        agent.push(bundle, force=True)
    layout = Layout(home)
    file = bundle.bill.dirs[0].files[0]
    path = layout.release("echo", bundle.release) / "dirs" / "0" / file.path
    assert path.samefile(layout.blob(file.digest))
    assert path.stat().st_mode & 0o222 == 0
    assert_no_garbage(home)


def test_the_history_is_bounded(layout: Layout) -> None:
    releases = Releases(layout, "echo")
    collect.prepare_app(layout, "echo")
    for n in range(250):
        releases.remember(f"1.0.{n}-{n:016x}", "push")
    assert len(releases.history()) == 200
    assert releases.history()[-1]["release"].startswith("1.0.249-")


def test_switching_replaces_the_link_in_one_step(layout: Layout) -> None:
    releases = Releases(layout, "echo")
    collect.prepare_app(layout, "echo")
    seen: list[str | None] = []
    steps = Steps(lambda _: seen.append(releases.current()))
    one, two = f"1.0.0-{'1' * 16}", f"2.0.0-{'2' * 16}"
    releases.switch(one, steps)
    releases.switch(two, steps)
    assert seen == [None, None, one, one, one, two]
    assert releases.current() == two


@pytest.mark.parametrize("guest", ["/var", ".", "..", "/", "/a/../b", "x" * 1000, "ü/\x00"])
def test_state_directories_stay_below_their_app(layout: Layout, guest: str) -> None:
    path = layout.state("echo", guest)
    assert path.parent == layout.app("echo") / "state"
    assert path.name not in (".", "..")
    assert len(path.name.encode()) <= 255
