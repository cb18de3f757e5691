"""Sessions that are opened while a bundle is made: nothing is brought, and nobody asked, before that is ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from lading import client
from lading.bootstrap.stages import Stage
from lading.devices import resolve
from lading.errors import DeviceUnreachable
from lading.opening import Opening

if TYPE_CHECKING:
    from collections.abc import Callable

SSH = resolve("ssh://somebody@192.0.2.1")


class FakeSession:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


class Connects:
    """Stands in for ``connect``: a device that answers, or has to be set up first."""

    def __init__(self, *, sets_up: bool = False, error: Exception | None = None) -> None:
        self.session = FakeSession()
        self.called = threading.Event()
        self.over = threading.Event()
        self.brought: list[str] = []
        self._sets_up, self._error = sets_up, error

    def __call__(self, device: object, *, on_stage: Callable[[Stage], None], secrets: Any) -> FakeSession:
        self.called.set()
        try:
            if self._error is not None:
                raise self._error
            if self._sets_up:
                on_stage(Stage("look", "looking at the device"))
                assert secrets.ask("Password: ") is None  # the tests have no terminal
                self.brought.append(str(device))
            return self.session
        finally:
            self.over.set()


def opened(monkeypatch: pytest.MonkeyPatch, connects: Connects) -> tuple[Opening, list[str]]:
    told: list[str] = []
    monkeypatch.setattr(client, "connect", connects)
    return Opening([SSH], lambda _device, stage: told.append(stage.text)), told


def test_a_connection_is_made_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = Connects()
    with opened(monkeypatch, connects)[0] as opening:
        assert connects.called.wait(30)
        session: object = opening.take(SSH)
        assert session is connects.session
        assert opening.take(SSH) is None, "one session, twice"
    assert not connects.session.closed.is_set(), "whoever took it closes it"


def test_a_device_is_set_up_only_when_there_is_something_to_send(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = Connects(sets_up=True)
    opening, told = opened(monkeypatch, connects)
    with opening:
        assert connects.called.wait(30)
        assert not connects.over.wait(0.05)
        assert (told, connects.brought) == ([], [])
        opening.take(SSH)
        assert told == ["looking at the device"]
        assert connects.brought == [str(SSH)]


def test_where_nothing_is_to_be_sent_nothing_is_brought(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = Connects(sets_up=True)
    opening, told = opened(monkeypatch, connects)
    with opening:
        assert connects.called.wait(30)
    assert connects.over.wait(30)
    assert (told, connects.brought) == ([], [])


def test_a_session_that_nobody_takes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = Connects()
    with opened(monkeypatch, connects)[0]:
        assert connects.over.wait(30)
    assert connects.session.closed.wait(30)


def test_what_went_wrong_is_told_to_whoever_takes_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    connects = Connects(error=DeviceUnreachable("gone", remedy="look for it"))
    with opened(monkeypatch, connects)[0] as opening, pytest.raises(DeviceUnreachable):
        opening.take(SSH)


@pytest.mark.parametrize(
    "address",
    ["ssh+openssh://192.0.2.1", "serial:///dev/ttyS0", "board://debian-arm64#uart0", "emulated://raspberry-pi-4b"],
)
def test_what_may_need_somebody_is_opened_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr(client, "connect", refuse)
    device = resolve(address)
    with Opening([device], lambda _device, _stage: None) as opening:
        assert opening.take(device) is None
