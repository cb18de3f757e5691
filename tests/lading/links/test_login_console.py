"""The system's own ``agetty`` and ``login`` at the other end of a line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from lading.errors import AuthFailed
from lading.links.console_host import ConsoleHost
from lading.links.serial_port import SerialPort
from tests.support.console import ConsoleDevice, wait_until
from tests.support.getty import PASSWORD, USER, getty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = PASSWORD.encode()


class HeardPort(SerialPort):
    """A port that remembers."""

    def __init__(self, device: ConsoleDevice) -> None:
        super().__init__(device.line.computer, device.address, baud=115200)
        self.heard = bytearray()
        self.typed = bytearray()

    def read(self, limit: int, timeout_s: float) -> bytes:
        data = super().read(limit, timeout_s)
        self.heard += data
        return data

    def write(self, data: bytes) -> None:
        self.typed += data
        super().write(data)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., ConsoleDevice]]:
    devices: list[ConsoleDevice] = []

    def begin(**options: int) -> ConsoleDevice:
        home = tmp_path / "home"
        home.mkdir()
        devices.append(ConsoleDevice(home, command=getty(tmp_path, home, **options)))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def test_a_login_and_out_again(start: Callable[..., ConsoleDevice]) -> None:
    device = start()
    port = HeardPort(device)
    with ConsoleHost(port, user=USER, password=lambda _user: PASSWORD) as host:
        assert host.run("echo $HOME $USER").stdout.decode() == f"{device.home} {USER}\n"
        data = bytes(range(256)) * 100
        assert host.run("cat", data).stdout == data
    assert SECRET not in port.heard
    assert port.typed.count(SECRET) == 1
    after = HeardPort(device)
    try:
        after.write(b"\n")
        wait_until(lambda: after.read(4096, 0.2) and b"login:" in after.heard, "nobody logged out")
        assert b"login:" in after.heard.splitlines()[-1]
    finally:
        after.close()


@pytest.mark.parametrize(("user", "secret"), [(USER, "wrong"), ("nobody-here", PASSWORD), (USER, "")])
def test_a_wrong_login_is_refused_and_the_next_one_gets_in(
    start: Callable[..., ConsoleDevice], user: str, secret: str
) -> None:
    device = start()
    port = HeardPort(device)
    with pytest.raises(AuthFailed, match=f"does not let {user} in") as caught:
        ConsoleHost(port, user=user, password=lambda _user: secret)
    assert caught.value.exit_status == 3
    assert b"Login incorrect" in port.heard
    told = f"{caught.value.message}{caught.value.remedy}{caught.value.details}"
    assert not secret or secret not in told
    assert SECRET not in port.heard
    with ConsoleHost(HeardPort(device), user=USER, password=lambda _user: PASSWORD) as host:
        assert host.run("echo in").stdout == b"in\n"


def test_a_login_that_times_out_while_the_password_is_typed_is_begun_again(start: Callable[..., ConsoleDevice]) -> None:
    """The login prompt that stands there by then would show a password, and log it as the name of a user."""
    device = start(timeout_s=2)
    port = HeardPort(device)
    asked: list[str] = []

    def slowly(user: str) -> str:
        asked.append(user)
        time.sleep(3.5)
        return PASSWORD

    with ConsoleHost(port, user=USER, password=slowly) as host:
        assert host.run("echo in").stdout == b"in\n"
    assert asked == [USER]
    assert b"timed out" in port.heard
    assert SECRET not in port.heard
    assert port.typed.count(SECRET) == 1


def test_somebodys_half_a_login_is_left_alone(start: Callable[..., ConsoleDevice]) -> None:
    device = start()
    before = HeardPort(device)
    wait_until(lambda: before.read(4096, 0.2) and b"login:" in before.heard, "no login prompt")
    before.write(b"somebody\n")
    wait_until(lambda: before.read(4096, 0.2) and b"Password:" in before.heard, "no question for a password")
    before.close()
    with ConsoleHost(HeardPort(device), user=USER, password=lambda _user: PASSWORD) as host:
        assert host.run("echo in").stdout == b"in\n"


def test_nobody_is_asked_for_where_no_user_was_named(start: Callable[..., ConsoleDevice]) -> None:
    with pytest.raises(AuthFailed, match="asks who logs in") as caught:
        ConsoleHost(HeardPort(start()))
    assert "?user=NAME" in caught.value.remedy
