"""Every way in which a device cannot be reached has an error of its own: one sentence, a remedy, exit status 3."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from lading.devices.address import Ssh, parse
from lading.errors import (
    AuthFailed,
    ConnectionRefused,
    DeviceUnreachable,
    HostKeyChanged,
    HostKeyRevoked,
    HostKeyUnknown,
    HostNotFound,
    LinkLost,
    NoCommands,
    ProxyFailed,
    SshConfigError,
    TimedOut,
)
from lading.links.ssh import look_at_key, open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from tests.support.odd_sshd import Manner, odd_sshd
from tests.support.sshd import Sshd, free_port, make_key, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.errors import LadingError


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd"), kinds=("ed25519", "ecdsa", "rsa")) as server:
        yield server


@pytest.fixture
def server(running: Sshd) -> Iterator[Sshd]:
    """The server; what a test changes on the client's side is undone."""
    kept = {path: path.read_bytes() for path in (running.known_hosts, running.config, running.authorized_keys)}
    yield running
    for path, data in kept.items():
        path.write_bytes(data)


@pytest.fixture(params=["ssh", "ssh+openssh"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reach(server: Sshd, text: str, host_key: str | None = None) -> None:
    """Connect, and run a command."""
    address = parse(text)
    assert isinstance(address, Ssh)
    options = Options(Places(server.client, server.config), connect_timeout_s=1.0)
    with open_host(address, host_key=host_key, options=options) as host:
        assert host.run("exit 0").status == 0


def refused(kind: type[LadingError], server: Sshd, text: str, host_key: str | None = None) -> LadingError:
    with pytest.raises(kind) as caught:
        reach(server, text, host_key)
    error = caught.value
    assert type(error) is kind
    assert error.remedy
    assert "\n" not in error.message
    assert error.exit_status == (2 if kind is SshConfigError else 3)
    return error


def test_an_unknown_key(server: Sshd, scheme: str) -> None:
    server.known_hosts.write_text("")
    error = refused(HostKeyUnknown, server, f"{scheme}://{server.place}")
    assert server.fingerprint() in error.message
    assert f"--fingerprint {server.fingerprint()}" in error.remedy
    assert error.details["fingerprint"] == server.fingerprint()


@pytest.mark.parametrize("setting", ["StrictHostKeyChecking no", "StrictHostKeyChecking accept-new"])
def test_an_unknown_key_also_where_the_configuration_is_careless(server: Sshd, scheme: str, setting: str) -> None:
    server.known_hosts.write_text("")
    server.config.write_text(f"{setting}\n{server.config.read_text()}")
    refused(HostKeyUnknown, server, f"{scheme}://{server.place}")
    assert server.known_hosts.read_text() == ""


def test_a_changed_key(server: Sshd, scheme: str, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text()
    name = f"[{server.host}]:{server.port}"
    server.known_hosts.write_text(f"# mine\n{name} {other}")
    error = refused(HostKeyChanged, server, f"{scheme}://{server.place}")
    assert server.fingerprint() in error.message
    assert f"{server.known_hosts}:2" in error.message
    assert error.message.count("SHA256:") == 2


def test_a_server_that_shows_another_type_of_key_than_is_known(server: Sshd, tmp_path: Path) -> None:
    name = f"[{server.host}]:{server.port}"
    server.known_hosts.write_text(f"{name} {make_key(tmp_path / 'k', 'ecdsa').with_suffix('.pub').read_text()}")
    refused(HostKeyChanged, server, server.address)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_known_type_of_key_is_asked_for(server: Sshd, scheme: str, kind: str) -> None:
    server.known_hosts.write_text(server.known_hosts_line(kind))
    reach(server, f"{scheme}://{server.place}")


@pytest.mark.parametrize("enrolled", [False, True])
def test_a_revoked_key(server: Sshd, scheme: str, enrolled: bool) -> None:
    server.known_hosts.write_text(server.known_hosts_line() + server.known_hosts_line(marker="@revoked"))
    key = f"ssh-ed25519 {server.fingerprint()}" if enrolled else None
    error = refused(HostKeyRevoked, server, f"{scheme}://{server.place}", key)
    assert "revoked" in error.message
    address = parse(f"{scheme}://{server.place}")
    assert isinstance(address, Ssh)
    with pytest.raises(HostKeyRevoked):
        look_at_key(address, options=Options(Places(server.client, server.config)))


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("typed", [True, False])
def test_an_enrolled_key_is_enough(server: Sshd, scheme: str, kind: str, typed: bool) -> None:
    server.known_hosts.write_text("")
    name = server.host_key(kind).with_suffix(".pub").read_text().split()[0]
    key = f"{name} {server.fingerprint(kind)}" if typed else server.fingerprint(kind)
    reach(server, f"{scheme}://{server.place}", key)


def test_another_key_than_the_enrolled_one(server: Sshd, scheme: str) -> None:
    wrong = "SHA256:" + "x" * 43
    error = refused(HostKeyChanged, server, f"{scheme}://{server.place}", wrong)
    assert wrong in error.message
    assert server.fingerprint() in error.message
    refused(HostKeyChanged, server, f"{scheme}://{server.place}", f"ssh-ed25519 {wrong}")


def test_a_certificate_authority_is_ignored_with_a_word(server: Sshd) -> None:
    server.known_hosts.write_text(server.known_hosts_line(marker="@cert-authority"))
    assert "certificate authority" in refused(HostKeyUnknown, server, server.address).message


def test_a_wrong_user_or_key(server: Sshd, scheme: str) -> None:
    server.authorized_keys.write_text("")
    error = refused(AuthFailed, server, f"{scheme}://{server.place}")
    assert server.user in error.message
    assert "publickey" in error.message
    assert error.details["allowed"] == ["publickey"]
    assert "authorized_keys" in error.remedy


def test_a_user_that_is_not_there(server: Sshd, scheme: str) -> None:
    error = refused(AuthFailed, server, f"{scheme}://no-such-user-here@127.0.0.1:{server.port}")
    assert "no-such-user-here" in error.message
    assert "user" in error.remedy
    assert "\n" not in error.message


def test_what_was_tried_is_named(server: Sshd) -> None:
    server.authorized_keys.write_text("")
    server.config.write_text(f"IdentityFile {server.client}/nothing\n{server.config.read_text()}")
    error = refused(AuthFailed, server, server.address)
    assert str(server.key) in error.message
    assert f"{server.client}/nothing is not there" in error.message


def test_a_closed_port(server: Sshd, scheme: str) -> None:
    port = free_port()
    error = refused(ConnectionRefused, server, f"{scheme}://me@127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in error.message


def test_a_host_that_never_answers(server: Sshd, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = refused(TimedOut, server, f"{scheme}://me@127.0.0.1:{listener.getsockname()[1]}")
    assert "does not answer" in error.message


def test_a_host_that_takes_no_connection(server: Sshd, scheme: str) -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):  # the backlog is full: whoever comes now is not even refused
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        refused(TimedOut, server, f"{scheme}://me@127.0.0.1:{listener.getsockname()[1]}")


def test_a_name_that_means_nothing(server: Sshd, scheme: str) -> None:
    error = refused(HostNotFound, server, f"{scheme}://me@no-such-host.invalid")
    assert "no-such-host.invalid" in error.message


@contextlib.contextmanager
def answering_with(data: bytes) -> Iterator[int]:
    """A server that says one thing and hangs up; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)


def test_a_host_that_hangs_up(server: Sshd, scheme: str) -> None:
    with answering_with(b"") as port:
        refused(LinkLost, server, f"{scheme}://me@127.0.0.1:{port}")


def test_what_is_no_ssh_server(server: Sshd) -> None:
    with answering_with(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200) as port, pytest.raises(DeviceUnreachable):
        reach(server, f"ssh://me@127.0.0.1:{port}")


def test_a_server_that_starts_no_commands(server: Sshd, scheme: str, tmp_path: Path) -> None:
    with odd_sshd(make_key(tmp_path / "key"), Manner(commands=False)) as odd:
        server.known_hosts.write_text(odd.known_hosts_line)
        error = refused(NoCommands, server, odd.address.replace("ssh", scheme))
    assert "starts no commands" in error.message


def test_a_proxy_command_that_fails(server: Sshd, scheme: str) -> None:
    server.config.write_text(f"ProxyCommand sh -c 'echo the door is shut >&2; exit 3'\n{server.config.read_text()}")
    error = refused(ProxyFailed, server, f"{scheme}://{server.place}")
    assert "the door is shut" in error.message


def test_a_jump_host_that_does_not_get_through(server: Sshd, scheme: str) -> None:
    config = server.config.read_text()
    jump = f"Host behind\n HostName 127.0.0.1\n Port {free_port()}\n ProxyJump {server.place}\n"
    server.config.write_text(jump + "Host *\n" + config)
    refused(ProxyFailed, server, f"{scheme}://me@behind")


def test_a_jump_host_whose_key_is_unknown(server: Sshd, scheme: str) -> None:
    server.known_hosts.write_text("")
    jump = f"Host behind\n HostName 127.0.0.1\n Port 1\n ProxyJump {server.place}\n"
    server.config.write_text(jump + "Host *\n" + server.config.read_text())
    error = refused(HostKeyUnknown, server, f"{scheme}://me@behind")
    assert "device add" not in error.remedy


def test_a_match_that_only_openssh_can_follow(server: Sshd) -> None:
    server.config.write_text(f"Match exec true\n{server.config.read_text()}")
    error = refused(SshConfigError, server, server.address)
    assert "ssh+openssh://" in error.remedy
    reach(server, server.openssh_address)


def test_a_broken_configuration(server: Sshd, scheme: str) -> None:
    server.config.write_text(f"Port many\n{server.config.read_text()}")
    refused(SshConfigError, server, f"{scheme}://me@127.0.0.1")
