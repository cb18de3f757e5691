"""What a microcontroller holds: several apps, shared pieces, pins, what goes and what stays; on one without hashes."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lading.errors import LockHeld, NoSpace, NoSuchApp, NoSuchRelease, UsageError
from lading.firmware.alone import alone
from lading.firmware.pointer import MOST_ENTRIES
from lading.firmware.store import POINTERS
from tests.support.firmware import session, small
from tests.support.smp_server import Board, SmpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.firmware.session import FirmwareSession

LARGE = bytes(range(256)) * 20


@contextmanager
def device_of(board: Board, **options: Any) -> Iterator[FirmwareSession]:
    with SmpServer(board.reply) as server, session(server.address, answer_s=2.0, **options) as device:
        yield device


@pytest.fixture
def board() -> Board:
    return Board()


def test_a_large_piece_is_sent_once_and_shared_by_releases(board: Board) -> None:
    with device_of(board) as device:
        first = device.push(small("1.0.0", files={"big.bin": LARGE}))
        second = device.push(small("2.0.0", files={"big.bin": LARGE}))
        assert (first.sent_blobs, second.sent_blobs) == (2, 1)
        assert (second.present_blobs, second.present_bytes) == (1, len(LARGE))
        assert list(board.files.values()).count(LARGE) == 1
        device.remove("echo", release=first.release)
        assert list(board.files.values()).count(LARGE) == 1
        third = device.push(small("3.0.0", files={"big.bin": LARGE[::-1]}), keep=1)
        assert third.sent_blobs == 2
        assert device.gc(1)["removed"] == []  # the one before stays
        device.remove("echo", release=second.release)
        assert LARGE not in board.files.values()


def test_an_interrupted_large_piece_goes_on_where_the_device_is(board: Board) -> None:
    bundle = small("1.0.0", files={"big.bin": LARGE})
    with device_of(board) as device:
        device.push(bundle)
    slot = next(name for name, data in board.files.items() if data == LARGE)
    left = Board()
    left.files[slot] = LARGE[:3000]
    with device_of(left) as device:
        pushed = device.push(bundle)
        assert pushed.resumed_bytes == 3000
        assert pushed.sent_bytes == sum(map(len, (board.files["/lfs1/ld00"], board.files["/lfs1/ld01"]))) - 3000
    assert left.files["/lfs1/ldp0"] == board.files["/lfs1/ldp0"]


def test_leftovers_that_are_nothing_of_the_kind_are_given_back(board: Board) -> None:
    board.files.update({"/lfs1/ld00": b"other" * 900, "/lfs1/ld01": b"more" * 10})
    with device_of(board) as device:
        assert device.push(small("1.0.0")).resumed_bytes == 0
        assert device.gc()["blobs"] == 0
    assert sorted(map(len, board.files.values()))[0] == 1


def test_apps_do_not_touch_each_other(board: Board) -> None:
    with device_of(board) as device:
        one, two = small("1.0.0", app="one"), small("1.0.0", app="two")
        device.push(one)
        device.push(two)
        newer = small("2.0.0", app="one")
        assert device.push(newer).previous == one.release
        apps = device.status()["apps"]
        assert apps["two"]["current"] == two.release
        assert apps["one"]["releases"] == [newer.release, one.release]
        with pytest.raises(UsageError, match="one, two"):
            device.releases()
        with pytest.raises(NoSuchApp):
            device.releases("three")
        device.rollback("one")
        device.remove("one")
        assert list(device.status()["apps"]) == ["two"]
        assert device.push(two).already_current


def test_gc_keeps_current_previous_and_pinned(board: Board) -> None:
    bundles = [small(f"{n}.0.0") for n in range(1, 6)]
    with device_of(board) as device:
        for bundle in bundles:
            device.push(bundle)
        device.pin("echo", bundles[0].release)
        plan = device.gc(1, dry_run=True)
        assert plan["removed"] == [f"echo {b.release}" for b in (bundles[3 - 1], bundles[1])]
        assert device.gc(1) == {**plan, "dry_run": False}
        held = device.releases()
        assert [r["release"] for r in held["releases"]] == [bundles[n].release for n in (4, 3, 0)]
        assert [r["pinned"] for r in held["releases"]] == [False, False, True]
        with pytest.raises(UsageError, match="current"):
            device.remove("echo", release=bundles[4].release)
        with pytest.raises(NoSuchRelease):
            device.rollback(to="9.")
        device.pin("echo", bundles[0].release, pinned=False)
        assert device.gc(1)["removed"] == [f"echo {bundles[0].release}"]


def test_two_clients_of_one_computer_change_a_device_one_after_the_other(board: Board) -> None:
    with (
        SmpServer(board.reply) as server,
        session(server.address, answer_s=2.0) as device,
        session(server.address.replace("127.0.0.1", "localhost"), answer_s=2.0) as other,
    ):
        refused: list[LockHeld] = []

        def meanwhile(_done: int, _total: int) -> None:
            assert other.status()["apps"] == {}
            with pytest.raises(LockHeld, match=f"process {os.getpid()}") as caught:
                other.push(small("3.0.0"))
            refused.append(caught.value)

        release = device.push(small("1.0.0"), progress=meanwhile).release
        assert refused
        assert other.push(small("3.0.0")).previous == release
        with alone(device._smp.place, "it"):
            for change, words in ((other.rollback, ()), (other.gc, (1,)), (other.remove, ("echo",))):
                with pytest.raises(LockHeld):
                    change(*words)


def test_another_computer_s_change_is_noticed_before_the_switch(board: Board) -> None:
    with device_of(board) as device, device_of(board) as other:
        first = other.push(small("1.0.0"))
        meanwhile: list[str] = []

        def once(_done: int, _total: int) -> None:
            if not meanwhile:
                meanwhile.append(other.push(small("3.0.0", size=10, app="another")).release)

        with pytest.raises(LockHeld):
            device.push(small("2.0.0"), progress=once)
        assert device.releases("echo")["current"] == first.release
        assert device.push(small("2.0.0")).previous == first.release


def test_a_dry_run_writes_nothing(board: Board) -> None:
    board.files["/lfs1/ld00"] = b"left"
    before = dict(board.files)
    with device_of(board) as device:
        plan = device.push(small("1.0.0"), dry_run=True)
        assert plan.dry_run
        assert plan.sent_bytes > 900
        device.gc(dry_run=True)
        assert board.files == before
        assert device.push(small("1.0.0")).sent_bytes == plan.sent_bytes


def test_a_full_file_system_loses_nothing() -> None:
    board = Board(capacity=4200)
    with device_of(board) as device:
        first = device.push(small("1.0.0"))
        kept = dict(board.files)
        with pytest.raises(NoSpace) as refused:
            device.push(small("2.0.0", size=3500))
        assert refused.value.details["current"] == first.release
        assert {name: data for name, data in board.files.items() if len(data) > 1} == kept
        assert device.push(small("1.0.0"), force=True).sent_bytes == 0


def test_all_slots_and_all_entries_have_an_end(board: Board) -> None:
    with device_of(board, slots=2) as device:
        device.push(small("1.0.0"))
        device.push(small("2.0.0"))
        with pytest.raises(NoSpace, match="slots"):
            device.push(small("3.0.0"))
    with device_of(Board(), slots=255) as device:
        for number in range(MOST_ENTRIES):
            device.push(small(f"1.0.{number}", size=20))
        with pytest.raises(NoSpace, match="at most 31"):
            device.push(small("2.0.0", size=20))
        assert device.releases()["current"] == small(f"1.0.{MOST_ENTRIES - 1}", size=20).release


@pytest.mark.parametrize("name", POINTERS)
def test_a_damaged_pointer_file_leaves_the_other_state(board: Board, name: str) -> None:
    with device_of(board) as device:
        device.push(small("1.0.0"))
        device.push(small("2.0.0"))
    data = board.files[f"/lfs1/{name}"]
    board.files[f"/lfs1/{name}"] = data[:-1]
    with device_of(board) as device:
        found = device.releases()["current"]
        assert found == small("1.0.0" if name == "ldp1" else "2.0.0").release
        device.push(small("3.0.0"))
        assert device.releases()["previous"] == found
