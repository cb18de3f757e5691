"""``ssh_config`` is followed as OpenSSH follows it; what it alone can do is left to it with a word."""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.devices.address import Ssh, parse
from lading.errors import SshConfigError
from lading.links.ssh import open_host
from lading.links.ssh_config import Places, look_up, pattern_list, words
from lading.links.ssh_line import Options
from tests.support.programs import need
from tests.support.sshd import Sshd, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lading.links.ssh_config import Destination


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / ".ssh").mkdir()
    return Places(tmp_path, tmp_path / ".ssh" / "config")


def found(places: Places, text: str, host: str = "board", **given_: str | int) -> Destination:
    assert places.config is not None
    places.config.write_text(text)
    return look_up(host, places=places, **given_)  # type: ignore[arg-type]


def test_without_a_configuration_everything_is_usual(places: Places) -> None:
    there = look_up("Board", places=places)
    assert (there.hostname, there.port, there.user) == ("Board", 22, getpass.getuser())
    assert there.identity_files == tuple(places.home / ".ssh" / f"id_{k}" for k in ("ed25519", "ecdsa", "rsa"))
    assert not there.identities_named
    assert there.known_hosts[0] == places.home / ".ssh" / "known_hosts"


def test_the_first_value_counts_and_the_address_before_it(places: Places) -> None:
    text = "Host bo*\n  User pi\n  Port 2222\nHost *\n  User other\n  Port 3\n  HostName %h.lan\n"
    there = found(places, text)
    assert (there.user, there.port, there.hostname) == ("pi", 2222, "board.lan")
    there = found(places, text, user="me", port=1)
    assert (there.user, there.port) == ("me", 1)


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        ("board", True),
        ("BOARD", True),
        ("b?ard", True),
        ("b*", True),
        ("other board", True),
        ("* !board", False),
        ("!board *", False),
        ("!other *", True),
        ("!other", False),
        ("[b]oard", False),
        ('"board"', True),
    ],
)
def test_host_patterns(places: Places, patterns: str, fits: bool) -> None:
    assert (found(places, f"Host {patterns}\n User pi\n").user == "pi") is fits


def test_identity_files_are_collected(places: Places) -> None:
    text = 'Host board\n IdentityFile ~/one\n IdentityFile "%d/t w o"\n IdentitiesOnly yes\n'
    text += "Host *\n IdentityFile /three-%r\n"
    there = found(places, text, user="me")
    assert [str(f) for f in there.identity_files] == [f"{places.home}/one", f"{places.home}/t w o", "/three-me"]
    assert there.identities_only
    assert found(places, "IdentityFile none\n").identity_files == ()


def test_ways_to_write_a_line(places: Places) -> None:
    text = '# a comment\n\n\tport=22 # of the board\nUser = "pi"\r\nhostname   10.0.0.1\n'
    there = found(places, text)
    assert (there.port, there.user, there.hostname) == (22, "pi", "10.0.0.1")


def test_include_is_read_where_it_stands(places: Places) -> None:
    folder = places.home / ".ssh"
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "a").write_text("Host other\n User wrong\nHost board\n User pi\n")
    (folder / "conf.d" / "b").write_text("Port 7\n")
    there = found(places, "Include conf.d/*\nPort 8\nHost nobody\n Include conf.d/nothing\n Port 9\n")
    assert (there.user, there.port) == ("pi", 7)
    assert found(places, "Host other\n Include conf.d/b\nHost *\n Port 8\n").port == 8
    assert found(places, "Include ~/.ssh/conf.d/b missing\n").port == 7


def test_a_file_that_includes_itself_is_refused(places: Places) -> None:
    with pytest.raises(SshConfigError, match="include each other"):
        found(places, "Include config\n")


@pytest.mark.parametrize(
    ("criteria", "outcome"),
    [
        ("all", "pi"),
        ("host board", "pi"),
        ("host other", None),
        ("originalhost b*,x", "pi"),
        ("user me", "pi"),
        ("!user me", None),
        ("host=other exec true", None),
        ("exec true", SshConfigError),
        ("host board exec true", SshConfigError),
        ("final all", SshConfigError),
        ("tagged x", SshConfigError),
        ("host", SshConfigError),
    ],
)
def test_match(places: Places, criteria: str, outcome: str | type | None) -> None:
    text = f"Match {criteria}\n Port 5\n"
    if isinstance(outcome, type):
        with pytest.raises(SshConfigError):
            found(places, text, user="me")
    else:
        assert (found(places, text, user="me").port == 5) is (outcome is not None)


def test_proxies(places: Places) -> None:
    there = found(places, "ProxyJump a, me@b:7\nProxyCommand nc %h %p\n")
    assert there.jumps == ("a", "me@b:7")
    assert there.proxy_command is None
    there = found(places, "ProxyCommand nc -X 5 '%h' %p %% # all\nProxyJump a\nHostName x\n")
    assert there.jumps == ()
    assert there.proxy_command == "nc -X 5 'x' 22 % # all"
    assert found(places, "Host board\n ProxyCommand none\nHost *\n ProxyJump a\n").proxy_command is None
    assert found(places, "ProxyJump none\n").jumps == ()


def test_times_families_aliases_and_files(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "/there")
    there = found(
        places,
        "ConnectTimeout 1m30\nServerAliveInterval 20\nServerAliveCountMax 4\nAddressFamily inet6\nHostKeyAlias nick\n"
        "UserKnownHostsFile ${PLACE}/a ~/b-%k\nGlobalKnownHostsFile none\nIdentityAgent ~/agent\n",
    )
    assert (there.connect_timeout_s, there.alive_interval_s, there.alive_count) == (90.0, 20.0, 4)
    assert (there.family, there.key_alias) == (socket.AF_INET6, "nick")
    assert [str(f) for f in there.known_hosts] == ["/there/a", f"{places.home}/b-nick"]
    assert there.identity_agent == f"{places.home}/agent"


@pytest.mark.parametrize(
    "text",
    ["Port\n", "Port 70000\n", "Port x\n", "=\n", 'User "pi\n', "HostName %Z\n", "ConnectTimeout soon\n",
     "UserKnownHostsFile ${NO_SUCH_VARIABLE}/x\n", "CanonicalizeHostname yes\n"],
)  # fmt: skip
def test_what_cannot_be_followed_is_said(places: Places, text: str) -> None:
    with pytest.raises(SshConfigError) as caught:
        found(places, text)
    assert caught.value.remedy


TEXTS = st.text(st.sampled_from("ab *?!%h\"'\\#=\n\tHostPortUserIncludeMatch12~${}"), max_size=120)


@given(text=TEXTS)
def test_any_text_is_followed_or_refused(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "any-config"
    file.write_text(text)
    places = Places(file.parent, file)
    try:
        there = look_up("board", places=places)
    except SshConfigError:
        return
    assert 0 < there.port <= 65535


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_words_end_whatever_the_line(text: str) -> None:
    try:
        found_ = words(text)
    except SshConfigError:
        return
    assert all(isinstance(word, str) for word in found_)


@given(st.lists(st.text("ab*?![]", min_size=1, max_size=5), max_size=4), st.text("ab[]", max_size=4))
def test_a_negated_pattern_always_wins(patterns: list[str], name: str) -> None:
    if pattern_list(patterns, name):
        assert not pattern_list([*patterns, f"!{name}"], name)


def test_openssh_sees_the_same(places: Places) -> None:
    text = (
        "Include more\nHost b*d !bird\n HostName %h.lan\n Port 2022\nMatch user pi\n User never\n"
        "Host *\n User me\n Port 1\n IdentityFile ~/k1\n IdentityFile /k2\n HostKeyAlias al\n ProxyJump x,y\n"
    )
    (places.home / ".ssh" / "more").write_text("Host board\n ServerAliveInterval 5m\n")
    assert places.config is not None
    text = text.replace("Include more", f"Include {places.home}/.ssh/more")
    for host in ("board", "bird", "else"):
        there = found(places, text, host)
        said = subprocess.run(
            [need("ssh"), "-F", str(places.config), "-G", host], capture_output=True, text=True, check=True
        ).stdout
        values = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
        assert (there.hostname, str(there.port), there.user) == (values["hostname"], values["port"], values["user"])
        assert str(int(there.alive_interval_s or 0)) == values["serveraliveinterval"]
        assert (",".join(there.jumps), there.key_alias) == (values["proxyjump"], values["hostkeyalias"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with serving(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def server(running: Sshd) -> Iterator[Sshd]:
    kept = {path: path.read_bytes() for path in (running.config, running.known_hosts)}
    yield running
    for path, data in kept.items():
        path.write_bytes(data)


def reaches(server: Sshd, address: str) -> bytes:
    parsed = parse(address)
    assert isinstance(parsed, Ssh)
    with open_host(parsed, options=Options(Places(server.client, server.config))) as host:
        return host.run("echo $HOME").stdout.strip()


def test_a_chain_of_jump_hosts(server: Sshd) -> None:
    """Three times the same server, by three names."""
    config = server.config.read_text()
    hosts = "".join(f"Host {name}\n HostName 127.0.0.1\n Port {server.port}\n User {server.user}\n" for name in "abc")
    server.config.write_text(f"{hosts}Host c\n ProxyJump a,b\nHost *\n{config}")
    assert reaches(server, "ssh://c") == str(server.home).encode()
    server.config.write_text(f"{hosts}Host c\n ProxyJump b\nHost b\n ProxyJump a\nHost *\n{config}")
    assert reaches(server, "ssh://c") == str(server.home).encode()
    assert len(server.sessions()) <= 3


def test_a_jump_host_that_is_its_own_is_refused(server: Sshd) -> None:
    server.config.write_text(f"Host a\n ProxyJump a\nHost *\n{server.config.read_text()}")
    with pytest.raises(SshConfigError, match="more than 8 hosts"):
        reaches(server, "ssh://a")


def test_a_proxy_command(server: Sshd) -> None:
    plain = f"-F {server.folder / 'plain'} -p {server.port} {server.user}@127.0.0.1"
    ssh = f"{need('ssh')} -W 127.0.0.1:{server.port} {plain}"
    shutil.copy(server.config, server.folder / "plain")
    server.config.write_text(f"Host board\n HostKeyAlias [127.0.0.1]:{server.port}\n ProxyCommand {ssh}\n"
                             f"Host *\n{server.config.read_text()}")  # fmt: skip
    assert reaches(server, f"ssh://{server.user}@board") == str(server.home).encode()


def test_an_alias_is_the_name_in_known_hosts(server: Sshd) -> None:
    line = server.known_hosts_line().replace(f"[127.0.0.1]:{server.port}", "kitchen")
    server.known_hosts.write_text(line)
    server.config.write_text(f"HostKeyAlias kitchen\n{server.config.read_text()}")
    assert reaches(server, server.address)


def test_hashed_known_hosts(server: Sshd) -> None:
    subprocess.run([need("ssh-keygen"), "-q", "-H", "-f", str(server.known_hosts)], check=True, capture_output=True)
    assert server.known_hosts.read_text().startswith("|1|")
    assert reaches(server, server.address)


def test_a_key_that_is_known_at_the_usual_port_is_taken_at_another(server: Sshd) -> None:
    server.known_hosts.write_text(server.known_hosts_line().replace(f"[127.0.0.1]:{server.port}", "127.0.0.1"))
    assert reaches(server, server.address)
    assert reaches(server, server.openssh_address)


def test_ipv6(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with serving(tmp_path / "sshd", host="::1") as server:
        assert "[::1]" in json.dumps(server.address)
        assert reaches(server, server.address) == str(server.home).encode()
