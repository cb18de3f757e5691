"""Real Zephyr with a LittleFS of 16 kB, of which 8 kB are usable: two releases fit, and no power cut breaks one."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from lading.errors import DeviceUnreachable, LinkLost, NoSpace
from lading.firmware.pointer import CURRENT
from lading.firmware.release_file import Header, decode
from lading.firmware.store import POINTERS, slot_name
from tests.support.c_store import CStore
from tests.support.firmware import CuttingTransport, cut_session, session, small
from tests.support.zephyr import Zephyr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.firmware.session import FirmwareSession

ONE, TWO, THREE = small("1.0.0"), small("2.0.0"), small("3.0.0")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Zephyr]:
    with Zephyr("serial_fs", tmp_path) as board:
        yield board


@pytest.fixture(scope="module")
def c_store(tmp_path_factory: pytest.TempPathFactory) -> CStore:
    return CStore(tmp_path_factory.mktemp("c"))


def firmware_runs(device: FirmwareSession, c_store: CStore) -> Header | None:
    """What the firmware would run if it started now, by its own reader."""
    files = device._store.files
    first, second = (files.read(name, 4096) or b"" for name in POINTERS)
    found = c_store.choose(first, second)
    if found is None:
        return None
    entry = next(entry for entry in found[1].entries if entry.flags & CURRENT)
    data = files.read(slot_name(entry.slot), 65536) or b""
    header = c_store.release(data, entry.header_crc)
    assert header is not None
    assert header == decode(data)
    assert len(data) == header.file_size
    for piece in header.pieces:
        assert hashlib.sha256(data[piece.offset : piece.offset + piece.size]).digest() == piece.sha256
    return header


def test_two_releases_switch_and_rollback(board: Zephyr, c_store: CStore) -> None:
    with session(board.address) as device:
        first = device.push(ONE)
        assert (first.sent_blobs, first.already_current, first.previous) == (1, False, None)
        assert first.sent_bytes < 3000
    board.reset()
    with session(board.address) as device:
        assert device.push(ONE).already_current
        second = device.push(TWO)
        assert second.previous == ONE.release
        assert second.sent_bytes < 3000
    board.reset()
    with session(board.address) as device:
        assert device.status()["apps"]["echo"]["current"] == TWO.release
        header = firmware_runs(device, c_store)
        assert header is not None
        assert header.release == TWO.release
        assert device.rollback() == {"app": "echo", "current": ONE.release, "previous": TWO.release}
    board.reset()
    with session(board.address) as device:
        header = firmware_runs(device, c_store)
        assert header is not None
        assert header.release == ONE.release
        again = device.push(TWO)
        assert (again.sent_bytes, again.already_current, again.present_blobs) == (0, False, 1)
        assert device.rollback(to=ONE.release[:8])["current"] == ONE.release


@pytest.mark.parametrize("storage", [None, 8192])
def test_a_third_release_is_refused_and_nothing_is_lost(board: Zephyr, c_store: CStore, storage: int | None) -> None:
    with session(board.address, storage_bytes=storage) as device:
        device.push(ONE)
        device.push(TWO)
        with pytest.raises(NoSpace) as refused:
            device.push(THREE)
        assert refused.value.details["current"] == TWO.release
    board.reset()
    with session(board.address, storage_bytes=storage) as device:
        assert device.releases()["current"] == TWO.release
        assert device.releases()["previous"] == ONE.release
        for bundle in (ONE, TWO):
            assert device.push(bundle).sent_bytes == 0  # whole, by the device's own hash
        device.remove("echo", release=ONE.release)
        assert device.push(THREE).previous == TWO.release
        header = firmware_runs(device, c_store)
        assert header is not None
        assert header.release == THREE.release
        assert device.remove("echo")["removed"] == [THREE.release, TWO.release]
        assert device.status()["disk"]["used_bytes"] == 0


def test_what_a_reset_left_of_a_file_is_gone_on_with(board: Zephyr) -> None:
    transport = CuttingTransport(board.port, 1, board.kill, before=True, uploads_only=True)
    with cut_session(transport, sync_bytes=256) as device, pytest.raises(LinkLost):
        device.push(THREE)
    board.start()
    with session(board.address) as device:
        plan = device.push(THREE, dry_run=True)
        pushed = device.push(THREE)
        assert 0 < pushed.resumed_bytes == plan.resumed_bytes
        assert pushed.resumed_bytes + pushed.sent_bytes == plan.resumed_bytes + plan.sent_bytes
        assert device.push(THREE, force=True).sent_bytes == 0


def test_what_was_damaged_on_the_device_is_sent_again(board: Zephyr) -> None:
    with session(board.address) as device:
        device.push(ONE)
        store = device._store
        data = bytearray(store.files.read("ld00", 65536) or b"")
        data[-1] ^= 1
        store.files.write_all("ld00", bytes(data))
    with session(board.address) as device:
        assert device.push(ONE).already_current  # nobody asked to look
        repaired = device.push(ONE, force=True)
        assert repaired.sent_blobs == 1
        assert device.push(ONE, force=True).sent_blobs == 0
        assert device.releases()["releases"][0]["release"] == ONE.release
        assert len(device.releases()["releases"]) == 1


def push_and_cut(board: Zephyr, work: Callable[[FirmwareSession], Any], at: int, *, before: bool, **mcu: Any) -> int:
    """Do something while the board's power goes at a request; how many requests there were."""
    transport = CuttingTransport(board.port, at, board.kill, before=before)
    with cut_session(transport, **mcu) as device:
        work(device)
    return transport.requests


STEPS: dict[str, Callable[[FirmwareSession], Any]] = {
    "push": lambda device: device.push(TWO),
    "rollback": lambda device: device.rollback(to=ONE.release),
    "remove": lambda device: device.remove("echo", release=ONE.release),
}


@pytest.mark.parametrize("before", [True, False], ids=["before", "during"])
@pytest.mark.parametrize("verb", STEPS)
def test_a_power_cut_at_any_request_leaves_the_old_or_the_new(
    tmp_path: Path, c_store: CStore, verb: str, before: bool
) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    with Zephyr("serial_fs", prepared) as board, session(board.address) as device:
        device.push(ONE)
        if verb != "push":
            device.push(TWO)
    kept: set[str | None] = set()
    at = 0
    finished = False
    while not finished:
        folder = tmp_path / f"cut{at}"
        folder.mkdir()
        shutil.copy(prepared / "serial_fs.flash", folder)
        with Zephyr("serial_fs", folder) as board:
            with suppress(DeviceUnreachable):
                finished = push_and_cut(board, STEPS[verb], at, before=before, sync_bytes=256) <= at
            board.reset()
            with session(board.address) as device:
                header = firmware_runs(device, c_store)
                assert header is not None
                assert header.release in (ONE.release, TWO.release)
                kept.add(header.release)
                if verb == "push":
                    device.push(TWO)
                    held = device.releases()
                    assert (held["current"], held["previous"]) == (TWO.release, ONE.release)
                elif verb == "rollback":
                    assert device.rollback(to=ONE.release)["current"] == ONE.release
                else:
                    if len(device.releases()["releases"]) > 1:
                        device.remove("echo", release=ONE.release)
                    assert device.push(THREE).previous == TWO.release  # there is room, whatever the cut left
        shutil.rmtree(folder)
        at += 1
    assert at > 10
    assert kept == ({TWO.release} if verb == "remove" else {ONE.release, TWO.release})
