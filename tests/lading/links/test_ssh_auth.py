"""Letting oneself in: agent, keys, passwords; secrets come from a terminal or the environment and show up nowhere."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import paramiko
import pytest

from lading.devices.address import Ssh, parse
from lading.errors import AuthFailed
from lading.links.secrets import PASSPHRASE, PASSWORD, clean_environment
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from tests.support.command import COMMAND, Lading
from tests.support.odd_sshd import Manner, OddSshd, odd_sshd
from tests.support.programs import need
from tests.support.sshd import Sshd, make_key, serving
from tests.support.terminal import answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "correct horse battery staple"


@dataclass
class Told:
    """Somebody who knows secrets."""

    environment: dict[str, str] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)

    def stored(self, variable: str) -> str | None:
        return self.environment.get(variable)

    def ask(self, prompt: str, *, echo: bool = False) -> str | None:
        self.prompts.append(prompt)
        return self.typed.pop(0) if self.typed else None


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(running: Sshd, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    """The server; the client's side has no agent, and what a test changes is undone."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    kept = {path: path.read_bytes() for path in (running.config, running.authorized_keys)}
    yield running
    for path, data in kept.items():
        path.write_bytes(data)


def let_in(server: Sshd, told: Told | None = None) -> None:
    address = parse(server.address)
    assert isinstance(address, Ssh)
    options = Options(Places(server.client, server.config), told or Told())
    with open_host(address, options=options) as host:
        assert host.run("exit 0").status == 0


def with_key(server: Sshd, file: Path, *, more: str = "") -> None:
    """The client has this key only, and the server takes no other."""
    server.config.write_text(f"IdentityFile {file}\nUserKnownHostsFile {server.known_hosts}\n{more}")
    server.authorized_keys.write_text(file.with_suffix(".pub").read_text())


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_in_files(server: Sshd, tmp_path: Path, kind: str) -> None:
    with_key(server, make_key(tmp_path / "key", kind))
    let_in(server)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("public", [True, False])
def test_an_encrypted_key_opens_with_the_environments_passphrase(
    server: Sshd, tmp_path: Path, kind: str, public: bool
) -> None:
    with_key(server, make_key(tmp_path / "key", kind, SECRET))
    if not public:
        (tmp_path / "key.pub").unlink()
    let_in(server, Told({PASSPHRASE: SECRET}))


def test_an_encrypted_key_opens_with_what_is_typed(server: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", passphrase=SECRET)
    with_key(server, key)
    told = Told(typed=["wrong", SECRET])
    let_in(server, told)
    assert told.prompts == [f"Passphrase of {key}: "] * 2


def test_an_encrypted_key_that_nobody_opens_is_named(server: Sshd, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", passphrase=SECRET)
    with_key(server, key)
    with pytest.raises(AuthFailed, match="no passphrase opened it") as caught:
        let_in(server, Told({PASSPHRASE: "wrong"}))
    assert str(key) in caught.value.message
    assert "wrong" not in f"{caught.value.to_json()}"


def test_a_file_that_is_no_key_is_named(server: Sshd, tmp_path: Path) -> None:
    with_key(server, make_key(tmp_path / "key"))
    (tmp_path / "key").write_text("no key\n")
    (tmp_path / "key.pub").unlink()
    with pytest.raises(AuthFailed, match="is not a private key"):
        let_in(server)


def test_a_hardware_key_is_left_to_openssh(server: Sshd, tmp_path: Path) -> None:
    with_key(server, make_key(tmp_path / "key"))
    (tmp_path / "key.pub").write_text("sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t me\n")
    with pytest.raises(AuthFailed, match=r"hardware key, which only ssh\+openssh:// can use"):
        let_in(server)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Sshd) -> Iterator[Path]:
    """An SSH agent of the test's own; its socket."""
    path = tmp_path / "agent"
    process = subprocess.Popen([need("ssh-agent"), "-D", "-a", str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
        yield path
        process.terminate()
        process.wait(10)


def load(key: Path) -> None:
    """Put a key into the agent, and take it off the disk."""
    subprocess.run([need("ssh-add"), "-q", str(key)], check=True, capture_output=True)
    key.unlink()


def test_a_key_of_the_agent(server: Sshd, agent: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "rsa")
    with_key(server, key)
    load(key)
    (tmp_path / "key.pub").unlink()
    let_in(server)


def test_identities_only_leaves_the_agents_other_keys_out(server: Sshd, agent: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    with_key(server, key, more="IdentitiesOnly yes\n")
    public = (tmp_path / "key.pub").read_text()
    load(key)
    let_in(server)  # the agent's key is the one whose public half is named
    (tmp_path / "key.pub").unlink()
    with pytest.raises(AuthFailed, match="tried nothing"):
        let_in(server)
    (tmp_path / "key.pub").write_text(public)
    server.config.write_text(server.config.read_text() + "IdentityAgent none\n")
    with pytest.raises(AuthFailed, match="tried nothing"):
        let_in(server)


def test_too_many_keys_have_their_remedy(server: Sshd, agent: Path, tmp_path: Path) -> None:
    for number in range(8):
        load(make_key(tmp_path / f"wrong{number}"))
    server.config.write_text(f"UserKnownHostsFile {server.known_hosts}\n")
    with pytest.raises(AuthFailed, match="hung up") as caught:
        let_in(server)
    assert "IdentitiesOnly" in caught.value.remedy


@contextlib.contextmanager
def odd(folder: Path, manner: Manner) -> Iterator[tuple[OddSshd, Options, Told]]:
    """A server of a certain manner, and somebody who may know its password."""
    (folder / ".ssh").mkdir()
    with odd_sshd(make_key(folder / "host"), manner) as server:
        (folder / ".ssh" / "known_hosts").write_text(server.known_hosts_line)
        told = Told()
        yield server, Options(Places(folder, folder / "config"), told), told


def enter(server: OddSshd, options: Options) -> None:
    address = parse(server.address)
    assert isinstance(address, Ssh)
    with open_host(address, options=options) as host:
        assert host.run("exit 0").status == 0


QUESTIONS = {"password": (), "questions": (("Password: ", False),), "two": (("Name: ", True), ("Token: ", False))}


@pytest.mark.parametrize("questions", QUESTIONS)
def test_a_password_from_the_environment(tmp_path: Path, questions: str) -> None:
    with odd(tmp_path, Manner(SECRET, QUESTIONS[questions])) as (server, options, told):
        told.environment[PASSWORD] = SECRET
        told.typed.append("me")
        enter(server, options)


def test_a_password_that_is_typed_wrong_is_asked_for_again(tmp_path: Path) -> None:
    with odd(tmp_path, Manner(SECRET)) as (server, options, told):
        told.typed += ["wrong", SECRET]
        enter(server, options)
        assert told.prompts == ["Password of me@127.0.0.1: "] * 2


def test_a_server_that_wants_nothing(tmp_path: Path) -> None:
    with odd(tmp_path, Manner()) as (server, options, _):
        enter(server, options)


def test_a_key_and_then_a_password(tmp_path: Path) -> None:
    key = make_key(tmp_path / "key")
    manner = Manner(SECRET, key_first=paramiko.PKey.from_path(str(key)))
    with odd(tmp_path, manner) as (server, options, told):
        (tmp_path / "config").write_text(f"IdentityFile {key}\n")
        told.environment[PASSWORD] = SECRET
        enter(server, options)
        assert manner.asked == ["none", "publickey", "password"]


@pytest.mark.parametrize("questions", QUESTIONS)
def test_without_a_terminal_nobody_is_asked_and_the_error_says_what_to_do(tmp_path: Path, questions: str) -> None:
    with (
        odd(tmp_path, Manner(SECRET, QUESTIONS[questions])) as (server, options, _),
        pytest.raises(AuthFailed, match=PASSWORD) as caught,
    ):
        enter(server, options)
    assert "the host takes" in caught.value.message


@pytest.mark.parametrize("questions", QUESTIONS)
def test_a_password_shows_up_in_no_log_and_no_error(
    tmp_path: Path, questions: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with odd(tmp_path, Manner("another one", QUESTIONS[questions])) as (server, options, told):
        told.environment[PASSWORD] = SECRET
        with pytest.raises(AuthFailed) as caught:
            enter(server, options)
    assert "Authentication" in caplog.text  # it is paramiko's own log that was looked at
    chain = [caught.value, caught.value.__cause__, caught.value.__context__]
    for text in (caplog.text, json.dumps(caught.value.to_json()), *map(repr, chain)):
        assert SECRET not in text


def test_a_password_is_not_for_hosts_on_the_way(tmp_path: Path) -> None:
    manner = Manner(SECRET)
    with odd(tmp_path, manner) as (server, options, told):
        told.environment[PASSWORD] = SECRET
        (tmp_path / "config").write_text(f"Host behind\n ProxyJump me@127.0.0.1:{server.port}\n")
        address = parse("ssh://me@behind")
        assert isinstance(address, Ssh)
        with pytest.raises(AuthFailed, match="jump host"):
            open_host(address, options=options)
    assert "password" not in manner.asked


def test_programs_that_we_start_do_not_get_the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PASSWORD, SECRET)
    monkeypatch.setenv(PASSPHRASE, SECRET)
    assert SECRET not in clean_environment().values()
    assert clean_environment()["PATH"] == os.environ["PATH"]


def test_the_command_takes_a_password_from_environment_or_terminal_and_shows_it_nowhere(tmp_path: Path) -> None:
    with odd(tmp_path, Manner(SECRET)) as (server, _, _):
        lading = Lading(tmp_path, tmp_path)
        add = ["device", "add", "a", server.address, "--force"]
        env = {PASSWORD: SECRET}
        said = [lading(*add, "--json", env=env), lading(*add, "--json", env={PASSWORD: SECRET + "!"}, expect=3)]
        said.append(lading(*add, expect=3))
        assert PASSWORD in said[-1].err
        for done in said:
            assert SECRET not in done.out + done.err
        status, shown = answering(
            [str(COMMAND), *add],
            lading.environment(),
            tmp_path,
            [(b"Password of me@127.0.0.1: ", f"{SECRET}\n".encode())],
        )
        assert status == 0, shown.decode()
        assert SECRET.encode() not in shown
        assert SECRET not in (tmp_path / "config" / "lading" / "devices.toml").read_text()
