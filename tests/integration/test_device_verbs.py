"""``lading device``: names, and the host keys that devices must show, against a real SSH server."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.command import COMMAND, Lading
from tests.support.documents import keys_of
from tests.support.examples import ROOT
from tests.support.sshd import Sshd, make_key, serving
from tests.support.terminal import answering

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with serving(tmp_path / "sshd", kinds=("ed25519", "ecdsa")) as running:
        yield running


@pytest.fixture
def stranger(server: Sshd) -> Sshd:
    """The server, as somebody sees it who was never there."""
    server.known_hosts.unlink()
    return server


@pytest.fixture
def here(server: Sshd, tmp_path: Path) -> Lading:
    """The command, in a project, at home where the client's keys are."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "devices.toml").write_text("schema = 1\n")
    return Lading(server.client, folder)


def test_a_key_that_known_hosts_has_is_taken_and_written_down(here: Lading, server: Sshd) -> None:
    made = here.json("device", "add", "kitchen", server.address)
    assert made["host_key"] == f"ssh-ed25519 {server.fingerprint()}"
    assert made["contacted"]
    assert made["file"] == str(here.cwd / "devices.toml")
    assert f'host-key = "ssh-ed25519 {server.fingerprint()}"' in (here.cwd / "devices.toml").read_text()


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_command_that_enrols_it(
    here: Lading, stranger: Sshd
) -> None:
    refused = here("device", "add", "kitchen", stranger.address, expect=3)
    assert stranger.fingerprint() in refused.err
    command = f"lading device add kitchen '{stranger.address}' --fingerprint {stranger.fingerprint()}"
    assert command in refused.err
    assert "kitchen" not in (here.cwd / "devices.toml").read_text()
    said = here.json("device", "add", "kitchen", stranger.address, expect=3)["error"]
    assert said["code"] == "host-key-unknown"
    assert said["details"]["fingerprint"] == stranger.fingerprint()
    here("device", "add", "kitchen", stranger.address, "--fingerprint", stranger.fingerprint())
    assert not stranger.known_hosts.exists()


def test_a_fingerprint_of_another_type_of_key_is_found(here: Lading, stranger: Sshd) -> None:
    made = here.json("device", "add", "kitchen", stranger.address, "--fingerprint", stranger.fingerprint("ecdsa"))
    assert made["host_key"] == f"ecdsa-sha2-nistp256 {stranger.fingerprint('ecdsa')}"


def test_a_wrong_fingerprint_is_refused_and_both_are_shown(here: Lading, stranger: Sshd, tmp_path: Path) -> None:
    wrong = "SHA256:" + "x" * 43
    refused = here("device", "add", "kitchen", stranger.address, "--fingerprint", wrong, expect=3)
    assert wrong in refused.err
    assert stranger.fingerprint() in refused.err
    assert here("device", "add", "k", stranger.address, "--fingerprint", "MD5:00", expect=2).status == 2


def test_a_device_without_contact_is_only_written_down(here: Lading, server: Sshd) -> None:
    server.stop()
    assert here.json("device", "add", "a", server.address, "--no-contact")["host_key"] is None
    fingerprint = server.fingerprint()
    made = here.json("device", "add", "b", server.address, "--no-contact", "--fingerprint", fingerprint)
    assert made["host_key"] == fingerprint
    assert not made["contacted"]
    assert here("device", "add", "c", server.address, expect=3).status == 3


def test_a_name_is_given_once(here: Lading) -> None:
    here("device", "add", "a", "emulated://raspberry-pi-4b")
    refused = here("device", "add", "a", "emulated://raspberry-pi-5", expect=2)
    assert "--force" in refused.err
    here("device", "add", "a", "emulated://raspberry-pi-5", "--force")
    assert here.json("device", "show", "a")["device"]["address"].startswith("emulated://raspberry-pi-5")


def test_names_outside_of_a_project_are_the_users(here: Lading, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made = here.json("device", "add", "a", "emulated://raspberry-pi-4b", cwd=elsewhere)
    assert made["file"].startswith(str(here.home))
    here("device", "add", "b", "emulated://raspberry-pi-4b", "--user")
    assert {d["name"] for d in here.json("device", "list", cwd=elsewhere)["devices"]} == {"a", "b"}
    assert list(elsewhere.iterdir()) == []


def test_the_list_and_one_device_with_what_the_last_probe_found(here: Lading, tmp_path: Path) -> None:
    here("device", "add", "left", f"emulated://raspberry-pi-4b?state={tmp_path / 'left'}")
    here("device", "add", "right", f"emulated://raspberry-pi-4b?state={tmp_path / 'right'}")
    file = here.cwd / "devices.toml"
    file.write_text(file.read_text() + '\n[group.bench]\ndevices = ["left", "right"]\n')
    listed = here.json("device")
    assert [(d["name"], d["groups"], d["probed_at"]) for d in listed["devices"]] == [
        ("left", ["bench"], None),
        ("right", ["bench"], None),
    ]
    assert listed["groups"] == [{"name": "bench", "devices": ["left", "right"], "file": str(file)}]
    assert here.json("device", "show", "left")["report"] is None
    report = here.json("probe", "left")
    shown = here.json("device", "show", "left")
    assert shown["report"] == report
    assert shown["device"]["profile"] == "lading-litert"
    assert shown["device"]["probed_at"].endswith("Z")
    assert here.json("device", "show", "right")["report"] is None
    assert "lading-litert" in here("device", "show", "left").out
    assert "bench" in here("device", "list").out


def test_a_device_is_removed_when_no_group_needs_it(here: Lading) -> None:
    here("device", "add", "a", "emulated://raspberry-pi-4b")
    assert here("device", "group", "g", "a", "emulated://x86-64").out.startswith("g is a, emulated://x86-64 (")
    refused = here("device", "remove", "a", expect=2).err
    assert "member of g" in refused
    assert "lading device group g a --remove" in refused
    here("device", "group", "g", "a", "--remove")
    assert here("device", "group", "g", "--remove").out.startswith("g is no group any more")
    assert here.json("device", "remove", "a")["removed"]
    assert here("device", "show", "a", expect=2).status == 2


def test_removing_with_purge_leaves_nothing_on_the_device(here: Lading, server: Sshd) -> None:
    here("device", "add", "kitchen", server.address)
    purged = here.json("device", "remove", "kitchen", "--purge")
    assert (purged["removed"], purged["purged"]["found"], purged["purged"]["removed"]) == (True, False, True)
    assert list(server.home.iterdir()) == []
    here("device", "add", "kitchen", server.address)
    assert "nothing of lading's was on the device" in here("device", "remove", "kitchen", "--purge").out


def test_a_device_that_cannot_be_purged_keeps_its_name(here: Lading, server: Sshd) -> None:
    here("device", "add", "kitchen", server.address)
    server.stop()
    here("device", "remove", "kitchen", "--purge", expect=3)
    assert [d["name"] for d in here.json("device")["devices"]] == ["kitchen"]
    here("device", "add", "made", "emulated://raspberry-pi-4b")
    assert "delete that folder" in here("device", "remove", "made", "--purge", expect=2).err
    here("device", "remove", "kitchen")


KEYS = json.loads((ROOT / "tests" / "data" / "json_keys.json").read_text())


def test_documents_keep_their_keys(here: Lading, server: Sshd) -> None:
    said = {
        "device-add": here.json("device", "add", "kitchen", server.address),
        "device-list": here.json("device", "list"),
        "device-show": here.json("device", "show", "kitchen"),
        "device-rekey": here.json("device", "rekey", "kitchen"),
        "device-group": here.json("device", "group", "bench", "emulated://x86-64"),
        "device-remove": here.json("device", "remove", "kitchen", "--purge"),
    }
    for verb, document in said.items():
        assert document["schema"] == f"lading.{verb}/1"
        assert set(KEYS[verb]) <= keys_of(document), verb


def another_key(server: Sshd) -> None:
    """The board was installed anew: it has other keys."""
    server.stop()
    for kind in ("ed25519", "ecdsa"):
        server.host_key(kind).unlink()
        make_key(server.host_key(kind), kind)
    server.start()


def test_a_changed_key_stops_everything_until_the_new_one_is_taken(here: Lading, server: Sshd) -> None:
    here("device", "add", "kitchen", server.address)
    before = server.fingerprint()
    another_key(server)
    stopped = here("status", "kitchen", expect=3)
    assert before in stopped.err
    assert server.fingerprint() in stopped.err
    assert "lading device rekey kitchen" in stopped.err
    asked = here("device", "rekey", "kitchen", expect=3)
    assert before in asked.err
    assert f"lading device rekey kitchen --fingerprint {server.fingerprint()}" in asked.err
    taken = here.json("device", "rekey", "kitchen", "--fingerprint", server.fingerprint())
    assert (taken["before"], taken["changed"]) == (f"ssh-ed25519 {before}", True)
    assert here.json("device", "rekey", "kitchen")["changed"] is False
    assert here.json("device", "show", "kitchen")["device"]["host_key"] == f"ssh-ed25519 {server.fingerprint()}"


def test_an_enrolled_device_counts_more_than_known_hosts(here: Lading, server: Sshd) -> None:
    here("device", "add", "kitchen", server.address)
    another_key(server)
    server.known_hosts.write_text(server.known_hosts_line())
    assert "has changed" in here("status", "kitchen", expect=3).err


@pytest.mark.parametrize("answer", [b"yes\n", b"fingerprint\n", b"no\n", b"\n"])
def test_on_a_terminal_the_key_is_shown_and_asked_about(here: Lading, stranger: Sshd, answer: bytes) -> None:
    if answer == b"fingerprint\n":
        answer = stranger.fingerprint().encode() + b"\n"
    words = [str(COMMAND), "device", "add", "kitchen", stranger.address]
    status, shown = answering(words, here.environment(), here.cwd, [(b"its fingerprint: ", answer)])
    agreed = answer.startswith((b"yes", b"SHA256:"))
    assert stranger.fingerprint().encode() in shown
    assert status == (0 if agreed else 3), shown.decode()
    assert ("kitchen" in (here.cwd / "devices.toml").read_text()) == agreed


def test_the_systems_ssh_gives_the_same_words(here: Lading, stranger: Sshd, tmp_path: Path) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    # ssh looks up the user's folder in the system's database, not in HOME.
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {stranger.config} "$@"\n')
    ssh.chmod(0o755)
    env = {"PATH": f"{ssh.parent}:{here.environment()['PATH']}"}
    refused = here("device", "add", "kitchen", stranger.openssh_address, expect=3, env=env)
    assert f"--fingerprint {stranger.fingerprint()}" in refused.err
    for kind, name in (("ecdsa", "ecdsa-sha2-nistp256"), ("ed25519", "ssh-ed25519")):
        fingerprint = stranger.fingerprint(kind)
        words = ("device", "add", "kitchen", stranger.openssh_address, "--force", "--fingerprint", fingerprint)
        assert here.json(*words, env=env)["host_key"] == f"{name} {fingerprint}"
    before = stranger.fingerprint()
    another_key(stranger)
    stopped = here("status", "kitchen", expect=3, env=env)
    assert before in stopped.err
    assert stranger.fingerprint() in stopped.err
    taken = here.json("device", "rekey", "kitchen", "--fingerprint", stranger.fingerprint(), env=env)
    assert taken["changed"]
