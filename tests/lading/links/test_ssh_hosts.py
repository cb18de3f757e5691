"""Commands on a real SSH server, through paramiko and the system's ssh: bytes pass unharmed, every end is known."""

from __future__ import annotations

import hashlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from lading.devices.address import Ssh, parse
from lading.errors import DeviceUnreachable, LinkLost, TimedOut
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from tests.support.sshd import Sshd, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.links.host import Host


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(params=["ssh", "ssh+openssh"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(server: Sshd, scheme: str) -> Iterator[Host]:
    with reach(server, scheme) as opened:
        yield opened


def reach(server: Sshd, scheme: str) -> Host:
    address = parse(f"{scheme}://{server.place}")
    assert isinstance(address, Ssh)
    return open_host(address, options=Options(Places(server.client, server.config)))


def test_a_command_gets_its_input_and_gives_output_errors_and_status(host: Host) -> None:
    done = host.run("cat; echo wrong >&2; exit 7", b"in\x00\xff\r\n")
    assert (done.status, done.stdout, done.stderr) == (7, b"in\x00\xff\r\n", b"wrong\n")


def test_commands_start_in_the_boards_home(host: Host, server: Sshd) -> None:
    assert host.run('pwd; echo "$HOME"').stdout.decode().split() == [str(server.home)] * 2


def test_a_command_that_wants_no_input_may_end_early(host: Host) -> None:
    done = host.run("echo done", b"x" * 8_000_000)
    assert (done.status, done.stdout) == (0, b"done\n")


def test_many_bytes_arrive_as_they_were(host: Host) -> None:
    data = os.urandom(20_000_000)
    assert host.run("sha256sum", data).stdout.split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert host.run("cat", data).stdout == data


def test_an_endless_standard_error_does_not_stop_a_command(host: Host) -> None:
    done = host.run("head -c 40000000 /dev/zero >&2; echo last >&2; echo out")
    assert (done.status, done.stdout) == (0, b"out\n")
    assert done.stderr.endswith(b"\0last\n")
    assert 60_000 < len(done.stderr) <= 65536


def test_two_commands_run_side_by_side(host: Host) -> None:
    with_input = host.start("cat")
    try:
        assert host.run("echo other").stdout == b"other\n"
        with_input.write(b"still here")
        assert with_input.read(100) == b"still here"
    finally:
        with_input.close()
    assert with_input.exit_status() == 0


def test_a_links_complaint_is_the_end_of_its_standard_error(host: Host) -> None:
    link = host.start("echo first >&2; echo no such thing >&2; exit 3")
    try:
        assert link.read(10) == b""
        assert link.exit_status() == 3
        assert link.complaint() == "first\nno such thing"
    finally:
        link.close()


def test_a_command_that_hangs_is_given_up(host: Host) -> None:
    with pytest.raises(TimedOut, match="a command took longer than"):
        host.run("exec sleep 600", timeout_s=0.3)
    assert host.run("echo alive").stdout == b"alive\n"


def test_closing_a_link_ends_the_commands_input_and_waits_for_it(host: Host, server: Sshd) -> None:
    link = host.start("cat > received; echo finished > ended")
    link.write(b"all of it")
    link.close()
    assert (server.home / "received").read_bytes() == b"all of it"
    assert (server.home / "ended").read_text() == "finished\n"


def test_a_session_that_is_killed_is_a_broken_link(server: Sshd, scheme: str) -> None:
    with reach(server, scheme) as host:
        link = host.start("echo ready; exec cat")
        assert link.read(100) == b"ready\n"
        for session in server.sessions():
            os.kill(session, signal.SIGKILL)
        with pytest.raises(OSError, match="the connection broke"):
            list(iter(lambda: link.read(100), b""))
        with pytest.raises(OSError, match=r"broke|Broken pipe"):
            link.write(b"x" * 8_000_000)
        link.close()


def test_a_device_that_falls_silent_is_given_up(server: Sshd, scheme: str) -> None:
    before = server.config.read_text()
    server.config.write_text(f"ServerAliveInterval 1\nServerAliveCountMax 1\n{before}")
    try:
        with reach(server, scheme) as host:
            link = host.start("echo ready; exec cat")
            assert link.read(100) == b"ready\n"
            for session in server.sessions():
                os.kill(session, signal.SIGSTOP)
            with pytest.raises(OSError, match=r"said nothing for|not responding"):
                link.read(100)
            for session in server.sessions():
                os.kill(session, signal.SIGKILL)
            link.close()
    finally:
        server.config.write_text(before)


def test_a_connection_that_broke_starts_nothing(server: Sshd) -> None:
    with reach(server, "ssh") as host:
        for session in server.sessions():
            os.kill(session, signal.SIGKILL)
        with pytest.raises(LinkLost, match="the connection is gone"):
            host.start("echo")


def test_nobody_is_asked_for_anything_after_the_end(server: Sshd) -> None:
    host = reach(server, "ssh")
    host.close()
    host.close()
    with pytest.raises(DeviceUnreachable):
        host.run("echo")
