"""``known_hosts``: what it says of a host, and of nobody else; whatever stands in it."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import UsageError
from lading.links.host_keys import parse_enrolled
from lading.links.known_hosts import about, host_name, parse_line, read
from tests.support.programs import need
from tests.support.sshd import fingerprint, make_key

BLOB = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))
KEY = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}"


def lines(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("patterns", "host", "port", "fits"),
    [
        ("board", "board", 22, True),
        ("board", "BOARD", 22, True),
        ("board,10.0.0.1", "10.0.0.1", 22, True),
        ("*.lan", "board.lan", 22, True),
        ("*.lan,!board.lan", "board.lan", 22, False),
        ("board", "board", 2222, False),
        ("[board]:2222", "board", 2222, True),
        ("[board]:2222", "board", 22, False),
        ("[*]:2222", "board", 2222, True),
        ("[fe80::1]:2222", "fe80::1", 2222, True),
        ("fe80::1", "fe80::1", 22, True),
        ("|1|x|y", "board", 22, False),
        ("|1|", "board", 22, False),
    ],
)
def test_which_hosts_a_line_is_about(tmp_path: Path, patterns: str, host: str, port: int, fits: bool) -> None:
    assert bool(about(read([lines(tmp_path, f"{patterns} {KEY}\n")]), host, port)) is fits


def test_an_alias_is_looked_for_as_it_is(tmp_path: Path) -> None:
    known = read([lines(tmp_path, f"kitchen {KEY}\n")])
    assert about(known, "10.0.0.1", 2222, "Kitchen")
    assert not about(known, "kitchen", 22, "other")


def test_openssh_hashes_names_the_same(tmp_path: Path) -> None:
    path = lines(tmp_path, f"board {KEY}\n[board]:7 {KEY}\n")
    subprocess.run([need("ssh-keygen"), "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "board" not in path.read_text()
    known = read([path])
    assert [len(about(known, *place)) for place in (("board", 22), ("board", 7), ("board", 8), ("other", 22))] == [
        1,
        1,
        0,
        0,
    ]


def test_fingerprints_are_openssh_s(tmp_path: Path) -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        public = make_key(tmp_path / kind, kind).with_suffix(".pub")
        known = parse_line(f"board {public.read_text()}", public, 1)
        assert known is not None
        assert known.key.fingerprint == fingerprint(public)


@pytest.mark.parametrize(
    "line",
    ["", "# board", "board", "board ssh-ed25519", f"@unknown board {KEY}", "board ssh-ed25519 ???",
     f"board ssh-rsa {KEY.split()[1]}", "board 2048 35 12345", f"@revoked {KEY}"],
)  # fmt: skip
def test_what_is_no_host_key_says_nothing(line: str) -> None:
    assert parse_line(line, Path("known_hosts"), 1) is None


def test_markers_and_places_are_kept(tmp_path: Path) -> None:
    path = lines(tmp_path, f"\n@revoked * {KEY} a comment\n@cert-authority *.lan {KEY}\n")
    assert [(known.marker, known.where) for known in read([path, tmp_path / "missing", tmp_path])] == [
        ("@revoked", f"{path}:2"),
        ("@cert-authority", f"{path}:3"),
    ]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(max_size=20), st.integers(1, 65535))
def test_no_line_breaks_the_reader(text: str, host: str, port: int) -> None:
    for line in (text, f"{text} {KEY}", f"@revoked {text} {KEY}"):
        known = parse_line(line, Path("known_hosts"), 1)
        if known is not None:
            known.fits(host_name(host, port))


@pytest.mark.parametrize("text", ["SHA256:" + "a" * 43, "ssh-rsa SHA256:" + "+" * 43, " SHA256:" + "a" * 43 + "= "])
def test_fingerprints_as_people_write_them(text: str) -> None:
    assert str(parse_enrolled(text)) == text.strip().rstrip("=")


@pytest.mark.parametrize(
    "text", ["", "SHA256:", "SHA256:short", "MD5:aa:bb", "a" * 43, "SHA256:" + "a" * 44, "x y SHA256:" + "a" * 43]
)
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--fingerprint"):
        parse_enrolled(text)
