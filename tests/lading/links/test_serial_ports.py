"""Ports that can be opened, and those that cannot: local ones, and such behind a port server."""

from __future__ import annotations

import grp
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import serial.tools.list_ports  # noqa: F401  whoever has given up his rights cannot load it any more

from lading.devices import resolve
from lading.devices.address import SerialRfc2217
from lading.errors import DeviceUnreachable, LinkLost, PortInUse, PortRefused
from lading.links.console_host import ConsoleHost
from lading.links.serial_port import SerialPort, open_port
from tests.support.console import ConsoleDevice
from tests.support.port_server import serving
from tests.support.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATH = os.pathsep.join([os.path.dirname(sys.executable), "/usr/local/bin", "/usr/bin", "/bin"])  # noqa: PTH120
SHELL = ("sh", "-c", "stty 115200; exec bash --norc -i")


@pytest.fixture
def follows(tmp_path: Path) -> Iterator[Callable[..., ConsoleDevice]]:
    """Boards at the end of lines on which only what is sent and read at one speed gets through."""
    devices: list[ConsoleDevice] = []

    def begin(*line: str) -> ConsoleDevice:
        home = tmp_path / f"home{len(devices)}"
        devices.append(ConsoleDevice(home, "--follow-speed", *line, command=SHELL, PATH=PATH))
        return devices[-1]

    yield begin
    for device in devices:
        device.close()


def rfc2217(port: int, **keys: int) -> SerialRfc2217:
    query = "&".join(f"{key}={value}" for key, value in keys.items())
    address = resolve(f"serial+rfc2217://127.0.0.1:{port}" + (f"?{query}" if query else "")).address
    assert isinstance(address, SerialRfc2217)
    return address


def test_a_port_server_sets_its_line_as_the_address_says(follows: Callable[..., ConsoleDevice]) -> None:
    data = os.urandom(3000)
    with (
        serving("rfc2217_server", follows().line.computer) as (port, _),
        ConsoleHost(open_port(rfc2217(port))) as host,
    ):
        assert host.bytes_per_second == 11520
        assert host.run("cat", data).stdout == data


def test_a_port_server_changes_to_the_higher_speed_and_back(follows: Callable[..., ConsoleDevice]) -> None:
    data = os.urandom(60_000)
    with serving("rfc2217_server", follows().line.computer) as (port, _):
        for _ in range(2):  # whoever comes second finds the console at its own speed
            with ConsoleHost(open_port(rfc2217(port)), speed=921600) as host:
                assert host.bytes_per_second == 92160
                assert host.run("cat", data).stdout == data
        with ConsoleHost(open_port(rfc2217(port))) as host:
            assert b"115200" in host.run("stty speed <$(readlink /proc/$PPID/fd/0)").stdout


def test_a_speed_that_a_port_server_does_not_have_is_given_up(follows: Callable[..., ConsoleDevice]) -> None:
    told: list[str] = []
    with (
        serving("rfc2217_server", follows().line.computer, "--fastest", "230400") as (port, _),
        ConsoleHost(open_port(rfc2217(port)), speed=921600, said=told.append) as host,
    ):
        assert host.bytes_per_second == 11520
        assert host.run("echo slow").stdout == b"slow\n"
    assert len(told) == 1
    assert "does not do 921600 baud" in told[0]
    assert "back to 115200" in told[0]


def test_a_port_server_that_does_not_have_the_consoles_speed_says_so(follows: Callable[..., ConsoleDevice]) -> None:
    with (
        serving("rfc2217_server", follows().line.computer, "--fastest", "9600") as (port, _),
        pytest.raises(DeviceUnreachable, match="does not set its port") as caught,
    ):
        open_port(rfc2217(port))
    assert "?baud=" in caught.value.remedy


def test_a_port_server_that_ends_in_the_middle_is_a_lost_line(follows: Callable[..., ConsoleDevice]) -> None:
    with (
        serving("rfc2217_server", follows().line.computer) as (port, process),
        ConsoleHost(open_port(rfc2217(port))) as host,
    ):
        threading.Timer(0.3, process.kill).start()
        with pytest.raises(LinkLost, match="the line was lost"):
            host.run("sleep 60")


def test_a_port_server_that_knows_no_rfc_2217_is_told_from_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(DeviceUnreachable, match="no port server of RFC 2217") as caught:
            open_port(rfc2217(port))
        assert "serial+socket://" in caught.value.remedy
    with pytest.raises(DeviceUnreachable, match="nobody answers there"):
        open_port(rfc2217(port))


@pytest.mark.parametrize("kind", ["file", "folder", "null"])
def test_what_is_no_serial_port_is_named_without_the_systems_words(tmp_path: Path, kind: str) -> None:
    path = {"file": tmp_path / "file", "folder": tmp_path, "null": "/dev/null"}[kind]
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceUnreachable) as caught:
        SerialPort(str(path), f"serial://{path}", baud=115200)
    assert "Errno" not in caught.value.message
    assert ("is no serial port" if kind != "folder" else "Is a directory") in caught.value.message
    assert "give the port of a serial line" in caught.value.remedy


def test_a_port_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(DeviceUnreachable, match="there is no port /dev/ttyUSB77"):
        SerialPort("/dev/ttyUSB77", "serial:///dev/ttyUSB77", baud=115200)


def test_a_port_without_permission_names_the_group() -> None:
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    os.chmod(path, 0o620 if os.getuid() == 0 else 0)  # noqa: PTH101
    group = grp.getgrgid(os.stat(path).st_gid).gr_name  # noqa: PTH116

    def refused() -> str:
        try:
            SerialPort(path, f"serial://{path}", baud=115200)
        except PortRefused as error:
            return f"{error.exit_status} {error.message} | {error.remedy}"
        return "it was opened"

    try:
        said = as_nobody(refused)
    finally:
        os.close(ours)
        os.close(theirs)
    assert said.startswith(
        f"3 serial://{path}: you may not use {path}, which is for the group {group} | sudo usermod"
    ), said
    assert said.endswith("then log in again")


def test_a_port_has_one_user_at_a_time() -> None:
    ours, theirs = os.openpty()
    path = os.ttyname(theirs)
    try:
        first = SerialPort(path, "one", baud=115200)
        with pytest.raises(PortInUse, match="is in use"):
            SerialPort(path, "two", baud=115200)
        first.close()
        SerialPort(path, "two", baud=115200).close()
    finally:
        os.close(ours)
        os.close(theirs)
