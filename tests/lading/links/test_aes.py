"""The fastest cipher is asked for where both processors are made for it, and never one that the user does not allow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lading import datafiles
from lading.devices.address import OpenSsh, Ssh, parse
from lading.links import aes
from lading.links.openssh_command import SshCommand
from lading.links.ssh import open_host
from lading.links.ssh_config import Places
from lading.links.ssh_line import Options
from tests.support.sshd import Sshd, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WITH = {"cpu": {"features": ["aes", "sse2"]}}
WITHOUT = {"cpu": {"features": ["crc32", "fp"]}}
OURS = "aes128-gcm@openssh.com"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return datafiles.user_cache_dir() / aes.FILE


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd") as running:
        yield running


def address(text: str) -> Ssh:
    parsed = parse(text)
    assert isinstance(parsed, Ssh)
    return parsed


def asked(server: Sshd) -> str | None:
    """The ciphers that ``ssh`` is told to ask for."""
    command = SshCommand(address(server.openssh_address), "board", None, Options(Places(server.client, server.config)))
    words = command.words("true")
    command.close()
    return next((word.partition("=")[2] for word in words if word.startswith("Ciphers=")), None)


def test_what_was_seen_of_a_host_is_remembered_for_its_place(cache: Path) -> None:
    board = address("ssh://pi@board")
    assert not aes.known(board)
    aes.note(board, WITH)
    assert aes.known(board)
    assert aes.known(address("ssh+openssh://other@board"))
    assert not aes.known(address("ssh://pi@board:2222"))
    aes.note(board, WITHOUT)
    assert not aes.known(board)
    nothings: list[dict[str, Any]] = [
        {},
        {"cpu": None},
        {"cpu": {}},
        {"cpu": {"features": []}},
        {"cpu": {"features": "a"}},
    ]
    for nothing in nothings:
        aes.note(address("ssh://unknown"), nothing)
    assert list(json.loads(cache.read_bytes())["hosts"]) == ["board"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 1, "hosts": []}', '{"schema": 9}'])
def test_a_spoilt_cache_is_none(cache: Path, text: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert not aes.known(address("ssh://board"))
    aes.note(address("ssh://board"), WITH)
    assert aes.known(address("ssh://board"))


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t\t: fpu aes sse2", True),
        ("Features\t: fp asimd aes pmull", True),
        ("Features\t: fp asimd evtstrm crc32 cpuid", False),
        ("model name\t: aes", False),
        ("", False),
    ],
)
def test_this_computer_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, has: bool) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    monkeypatch.setattr(aes, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("sys.platform", "linux")
    aes.here.cache_clear()
    assert aes.here() == has
    aes.here.cache_clear()


@pytest.mark.parametrize("here", [True, False])
@pytest.mark.parametrize("there", [True, False, None])
def test_both_processors_have_to_be_made_for_it(
    server: Sshd, monkeypatch: pytest.MonkeyPatch, here: bool, there: bool | None
) -> None:
    monkeypatch.setattr(aes, "here", lambda: here)
    if there is not None:
        aes.note(address(server.address), WITH if there else WITHOUT)
    ciphers = asked(server)
    assert (ciphers is not None) == (here and there is True)
    assert ciphers is None or ciphers.split(",")[:2] == [OURS, "chacha20-poly1305@openssh.com"]


@pytest.mark.parametrize(
    "order", ["aes256-ctr,aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "-aes128-gcm@openssh.com"]
)
def test_the_users_own_choice_stays(server: Sshd, monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    monkeypatch.setattr(aes, "here", lambda: True)
    aes.note(address(server.address), WITH)
    server.config.write_text(f"Ciphers {order}\n{server.config.read_text()}")
    assert asked(server) is None


@pytest.mark.parametrize("scheme", ["ssh", "ssh+openssh"])
def test_a_host_learns_and_the_next_connection_works(
    server: Sshd, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setattr(aes, "here", lambda: True)
    options = Options(Places(server.client, server.config))
    where = address(f"{scheme}://{server.place}")
    with open_host(where, options=options) as host:
        host.learn(WITH)
    assert asked(server) is not None
    with open_host(address(server.openssh_address), options=options) as host:
        assert isinstance(host.host_key, str)
        assert host.run("echo hello").stdout == b"hello\n"
    assert isinstance(where, OpenSsh) == (scheme == "ssh+openssh")
