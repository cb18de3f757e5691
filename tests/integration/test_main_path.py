"""From a project to answers on a device, and everything that one does with releases afterwards."""

from __future__ import annotations

import json
import os
import re
import selectors
from typing import TYPE_CHECKING

import pytest

from tests.support.apps import write_app
from tests.support.command import Lading, listing
from tests.support.examples import EXAMPLES
from tests.support.wat_guests import echoes, exits, says, says_and_spins, tells_its_arguments, writes_a_file

if TYPE_CHECKING:
    from pathlib import Path

ACCURACY = re.compile(r"accuracy: (\d+) of (\d+) \(")


def test_a_newcomer_deploys_the_digits(lading: Lading, board: str, digits: Path) -> None:
    done = lading("deploy", digits, board)
    found = ACCURACY.search(done.out)
    assert found, str(done)
    right, images = int(found[1]), int(found[2])
    assert images >= 60
    assert right / images >= 0.95
    assert done.out.count("→") == images, "one line an image"
    assert "latency: median" in done.out
    assert "golden vector 1 of digits: ok" in done.err
    assert "smoke run `--self-test`: ok" in done.err
    assert "is current" in done.err
    assert "checked: ok on lading-litert" in done.err, "deploy says that a check came before it"


def test_a_second_deploy_sends_no_blob_and_runs_again(lading: Lading, board: str, digits: Path) -> None:
    first = lading.json("deploy", digits, board)["devices"][0]
    assert first["push"]["sent_blobs"] > 100
    assert first["push"]["present_blobs"] == 0
    second = lading.json("deploy", digits, board)["devices"][0]
    assert (second["push"]["sent_blobs"], second["push"]["sent_bytes"]) == (0, 0)
    assert second["push"]["present_blobs"] == first["push"]["sent_blobs"]
    assert second["push"]["already_current"] is True
    assert ACCURACY.search(second["run"]["stdout"])
    assert "sent 0 blobs" in lading("deploy", digits, board).err


def test_only_a_changed_model_is_sent(lading: Lading, board: str, digits: Path) -> None:
    before = lading.json("push", digits, board)["devices"][0]["push"]
    model = digits / "models" / "digits_int8.tflite"
    model.write_bytes(model.read_bytes() + bytes(16))  # bytes after the flatbuffer change nothing but the digest
    after = lading.json("push", digits, board)["devices"][0]["push"]
    assert (after["sent_blobs"], after["sent_bytes"]) == (1, model.stat().st_size)
    assert after["present_blobs"] == before["sent_blobs"] - 1
    assert after["previous"] == before["release"] != after["release"]
    assert after["golden"][0]["ok"] is True


@pytest.fixture
def two_releases(lading: Lading, board: str, tmp_path: Path) -> tuple[str, str]:
    """An app with releases 1.0.0 and 2.0.0, which is current."""
    first, second = (
        lading.json("push", write_app(tmp_path / "app", says(f"this is {version}\n"), version=version), board)
        for version in ("1.0.0", "2.0.0")
    )
    return first["devices"][0]["push"]["release"], second["devices"][0]["push"]["release"]


def test_releases_and_rollback(lading: Lading, board: str, two_releases: tuple[str, str]) -> None:
    old, new = two_releases
    listed = lading.json("releases", board)
    assert [(entry["release"], entry["current"], entry["previous"]) for entry in listed["releases"]] == [
        (new, True, False),
        (old, False, True),
    ]
    assert lading("run", board).out == "this is 2.0.0\n"
    assert lading("run", board, "--release", old).out == "this is 1.0.0\n"
    assert lading("rollback", board).out == f"app: {old} is current (before: {new})\n"
    assert lading("run", board).out == "this is 1.0.0\n"
    assert lading.json("rollback", board, "--to", "2.0.0")["current"] == new
    assert [entry["release"] for entry in lading.json("releases", board, "app")["history"]] == [old, new, old, new]
    refused = lading("rollback", board, "--to", "9", expect=1)
    assert "9" in refused.err
    assert "remedy" in refused.err
    assert lading("run", board).out == "this is 2.0.0\n"


def test_gc_keeps_current_previous_and_pinned(lading: Lading, board: str, tmp_path: Path) -> None:
    releases = []
    for number in range(5):
        app = write_app(tmp_path / "app", says(f"{number}\n"), version=f"{number}.0.0")
        releases.append(lading.json("push", app, board)["devices"][0]["push"]["release"])
    lading("releases", board, "--pin", "0.0.0")
    would = lading.json("gc", board, "--keep", "1", "--dry-run")
    assert sorted(would["removed"]) == [f"app {releases[1]}", f"app {releases[2]}"]
    assert len(lading.json("releases", board)["releases"]) == 5
    done = lading.json("gc", board, "--keep", "1")
    assert done["removed"] == would["removed"]
    assert done["freed_bytes"] == would["freed_bytes"] > 0
    left = {entry["release"]: entry["pinned"] for entry in lading.json("releases", board)["releases"]}
    assert left == {releases[4]: False, releases[3]: False, releases[0]: True}
    lading("releases", board, "--unpin", releases[0])
    assert lading.json("gc", board, "--keep", "1")["removed"] == [f"app {releases[0]}"]


def test_remove_a_release_then_the_app(lading: Lading, board: str, store: Path, two_releases: tuple[str, str]) -> None:
    old, new = two_releases
    assert lading("remove", board, "app", "--release", new, expect=1).err
    assert lading("run", board).out == "this is 2.0.0\n"
    assert lading.json("remove", board, "app", "--release", old)["removed"] == [old]
    assert lading("rollback", board, expect=1).err
    before = listing(store)
    assert lading.json("remove", board, "app", "--dry-run")["removed"] == [new]
    assert listing(store) == before
    assert lading.json("remove", board, "app")["removed"] == [new]
    assert lading.json("status", board)["apps"] == {}
    assert not list((store / "raspberry-pi-4b").rglob("sha256/*"))
    assert lading("run", board, "app", expect=127).err


def test_status_of_several_apps(lading: Lading, board: str, tmp_path: Path) -> None:
    assert "no apps" in lading("status", board).out
    for name in ("one", "two"):
        lading("push", write_app(tmp_path / name, says(name), name=name), board)
    shown = lading("status", board).out
    assert "Raspberry Pi 4 Model B" in shown
    assert "lading-litert" in shown
    assert re.search(r"one +1\.0\.0-[0-9a-f]{16}", shown)
    assert re.search(r"two +1\.0\.0-[0-9a-f]{16}", shown)
    assert list(lading.json("status", board, "two")["apps"]) == ["two"]
    assert lading("run", board, "one").out == "one"
    assert "one, two" in lading("run", board, expect=125).err, "which app is a question"


def test_arguments_after_two_dashes_reach_the_guest_as_they_are(lading: Lading, board: str, tmp_path: Path) -> None:
    lading("push", write_app(tmp_path / "app", tells_its_arguments(), app='args = ["its", "own"]'), board)
    assert lading("run", board).stdout.split(b"\0")[1:] == [b"its", b"own", b""]
    words = ["--json", "-x", "--", "", "zwölf", "a b"]
    assert lading("run", board, "app", "--", *words).stdout.split(b"\0")[1:-1] == [word.encode() for word in words]
    assert lading("run", board, "--").stdout.split(b"\0")[1:] == [b""]


def test_standard_input_reaches_the_guest(lading: Lading, board: str, tmp_path: Path) -> None:
    lading("push", write_app(tmp_path / "app", echoes()), board)
    data = bytes(range(256)) * 4096
    assert lading("run", board, stdin=data).stdout == data
    assert lading("run", board).stdout == b""


def test_exit_statuses_of_the_guest_are_ours(lading: Lading, board: str, tmp_path: Path) -> None:
    lading("push", write_app(tmp_path / "app", exits(42)), board)
    lading("run", board, expect=42)
    assert "exit status 42" in lading("deploy", tmp_path / "app", board, expect=1).err


def test_fetch_brings_what_the_guest_wrote_and_nothing_else(lading: Lading, board: str, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", writes_a_file("result.txt", "42\n"), state="/var")
    lading("deploy", app, board)
    lading("fetch", board, "app", "/var/result.txt")
    assert (lading.cwd / "result.txt").read_bytes() == b"42\n"
    assert lading("fetch", board, "app", "/var/result.txt", "-o", "-").stdout == b"42\n"
    said = lading.json("fetch", board, "app", "/var/result.txt", "-o", tmp_path / "other.txt")
    assert (said["size"], (tmp_path / "other.txt").read_bytes()) == (3, b"42\n")
    for path in (
        "/var/../../release.json",
        "/var/../../../../device.json",
        "/etc/passwd",
        "/var/none",
        "/var",
        "var/../../x",
        "",
    ):
        refused = lading("fetch", board, "app", path, "-o", tmp_path / "stolen", expect=None)
        assert refused.status in (1, 2), str(refused)
        assert "remedy" in refused.err
        assert not (tmp_path / "stolen").exists()
        assert not (tmp_path / "stolen.part").exists()


def test_state_survives_a_release(lading: Lading, board: str, tmp_path: Path) -> None:
    lading("deploy", write_app(tmp_path / "app", writes_a_file("kept", "old"), state="/var"), board)
    lading("deploy", write_app(tmp_path / "app", says("new"), version="2.0.0", state="/var"), board)
    assert lading("fetch", board, "app", "/var/kept", "-o", "-").stdout == b"old"


def test_a_dry_run_changes_nothing(lading: Lading, board: str, store: Path, digits: Path) -> None:
    lading("status", board)
    empty = listing(store)
    for verb in ("push", "deploy"):
        said = lading.json(verb, digits, board, "--dry-run")["devices"][0]
        assert said["push"]["dry_run"] is True
        assert said["push"]["sent_blobs"] > 100
        assert said["run"] is None
        assert listing(store) == empty
    assert "nothing was changed" in lading("deploy", digits, board, "--dry-run").err
    assert lading.json("status", board)["apps"] == {}


@pytest.fixture
def fleet(lading: Lading, tmp_path: Path) -> Path:
    """A folder with ``devices.toml``: two boards that work, one that cannot be reached, and groups of them."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    text = "schema = 1\n"
    for name, state in (("kitchen", tmp_path / "k"), ("cellar", tmp_path / "c"), ("lost", blocked)):
        text += f'[device.{name}]\naddress = "emulated://raspberry-pi-4b?state={state}"\n'
    text += '[group.house]\ndevices = ["kitchen", "cellar"]\n[group.all]\ndevices = ["house", "lost"]\n'
    (lading.cwd / "devices.toml").write_text(text)
    return lading.cwd


@pytest.mark.usefixtures("fleet")
def test_several_devices_at_once(lading: Lading, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", says("hello\n"))
    done = lading("deploy", app, "kitchen", "cellar")
    assert sorted(done.out.splitlines()[:2]) == ["cellar | hello", "kitchen | hello"]
    again = lading.json("deploy", app, "house")
    assert [(entry["device"], entry["ok"], entry["push"]["sent_blobs"]) for entry in again["devices"]] == [
        ("kitchen", True, 0),
        ("cellar", True, 0),
    ]


@pytest.mark.usefixtures("fleet")
def test_one_device_that_fails_does_not_hide_the_others(lading: Lading, tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", says("hello\n"))
    done = lading("deploy", app, "all", expect=3)
    assert "kitchen | hello" in done.out
    assert "cellar | hello" in done.out
    assert re.search(r"lost .*failed", done.out)
    assert re.search(r"error: lost: .*cannot be used", done.err)
    said = lading.json("deploy", app, "all", expect=3)["devices"]
    assert [(entry["device"], entry["ok"]) for entry in said] == [("kitchen", True), ("cellar", True), ("lost", False)]
    assert said[2]["error"]["code"] == "unreachable"
    assert lading("run", "kitchen").out == "hello\n"


@pytest.mark.usefixtures("fleet")
def test_the_status_of_several_devices_is_the_worst(lading: Lading, tmp_path: Path) -> None:
    failing = write_app(tmp_path / "app", exits(7))
    lading("deploy", failing, "house", expect=1)
    lading("deploy", failing, "all", expect=3)


def test_a_name_that_is_none(lading: Lading, digits_bundle: Path) -> None:
    assert "remedy" in lading("push", digits_bundle, "nowhere", expect=2).err
    assert lading("run", "nowhere", expect=127).err
    assert lading("status", "gopher://x", expect=2).err
    lading("run", "ssh://user@localhost:1", expect=127)
    assert lading("status", "ssh://user@localhost:1", expect=3).err


def test_a_streaming_guest_is_heard_while_it_runs(lading: Lading, board: str, tmp_path: Path) -> None:
    """What the guest wrote is there although the guest has not ended, and never will."""
    lading("push", write_app(tmp_path / "app", says_and_spins("one step")), board)
    running = lading.start("run", board)
    assert running.stdout is not None
    assert running.stdout.read(8) == b"one step"
    assert running.poll() is None
    running.terminate()
    running.communicate(timeout=60)


def test_the_ships_log_appears_character_by_character(lading: Lading, board: str) -> None:
    running = lading.start("deploy", EXAMPLES / "stream", board)
    assert running.stdout is not None
    pieces = []
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        while selector.select(60):
            piece = os.read(running.stdout.fileno(), 65536)
            if not piece:
                break
            pieces.append(piece)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    text = b"".join(pieces)
    assert len(text.splitlines()) >= 3
    assert all(line.startswith(b"at dawn") for line in text.splitlines()[:3])
    # With its pace of 15 ms a character a few may share a read on a busy machine, but never all of them.
    assert len(pieces) > len(text) / 10


def test_step_results_are_in_the_document(lading: Lading, board: str) -> None:
    lading("push", EXAMPLES / "stream", board)
    said = lading.json("run", board, "--", "--lines", "1", "--max", "5", "ab")
    assert len(said["tensors"]) >= 5
    assert {tensor["output"] for tensor in said["tensors"]} >= {"logits"}
    assert [t["step"] for t in said["tensors"]] == sorted(t["step"] for t in said["tensors"])
    json.dumps(said)
