"""One user of a real device at a time."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from lading.devices import resolve
from lading.pytest_plugin.lock import DeviceLock, InUse, is_shared

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_a_second_user_waits_and_is_told_who_has_it() -> None:
    device = resolve("ssh://pi@kitchen.example")
    first, second = DeviceLock(device), DeviceLock(device)
    first.acquire(0)
    with pytest.raises(InUse, match=rf"process {os.getpid()}\)"):
        second.acquire(0.1)
    got = threading.Event()

    def wait() -> None:
        second.acquire(60)
        got.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    first.release()
    waiter.join(60)
    assert got.is_set()
    second.release()
    second.release()


def test_other_devices_are_other_locks() -> None:
    one, two = DeviceLock(resolve("ssh://pi@one.example")), DeviceLock(resolve("ssh://pi@two.example"))
    one.acquire(0)
    two.acquire(0)
    one.release()
    two.release()


def test_emulated_devices_need_none() -> None:
    assert not is_shared(resolve("emulated://raspberry-pi-4b"))
    assert is_shared(resolve("serial:///dev/ttyUSB0"))
