"""What names and addresses stand for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading import datafiles
from lading.devices import EmulatedDevice, registry, resolve, resolve_many
from lading.devices.address import Serial, Ssh
from lading.errors import DataFileError, NameNotFound, NameNotUnique

if TYPE_CHECKING:
    from pathlib import Path


BOARD = """
schema = 1
title = "The board on the bench"
summary = "One of a kind."
kind = "linux"
profiles = ["lading-litert"]
cpu = { architecture = "aarch64" }
memory = { ram = "1GiB" }
storage = { kind = "sd-card" }
provenance = { known-by = "measured", sources = ["its label"] }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, with a user's configuration and state folder beside it."""
    monkeypatch.setattr(datafiles, "user_config_dir", lambda: tmp_path / "config")
    monkeypatch.setattr(datafiles, "user_state_dir", lambda: tmp_path / "state")
    (tmp_path / "config").mkdir()
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def devices(folder: Path, text: str) -> None:
    (folder / "devices.toml").write_text("schema = 1\n" + text)


def emulated(text: str, project: Path) -> EmulatedDevice:
    device = resolve(text, project)
    assert isinstance(device, EmulatedDevice)
    return device


def test_an_emulated_device_settles_target_firmware_and_state(project: Path) -> None:
    device = emulated("emulated://raspberry-pi-4", project)
    assert (device.target, device.firmware, device.name) == ("raspberry-pi-4b", "lading-litert", "default")
    assert device.state == project.parent / "state/emulated/raspberry-pi-4b/lading-litert/default"
    assert str(device) == "emulated://raspberry-pi-4"


def test_emulated_state_belongs_to_target_firmware_and_name(project: Path) -> None:
    texts = [
        "emulated://raspberry-pi-4b",
        "emulated://raspberry-pi-4b?name=b",
        "emulated://raspberry-pi-4b?firmware=wasi-nn-w",
        "emulated://raspberry-pi-5",
    ]
    assert len({emulated(text, project).state for text in texts}) == 4
    assert (
        len({emulated(f"{text}{'&' if '?' in text else '?'}state={project}/s", project).state for text in texts}) == 4
    )


def test_an_unknown_target_or_firmware_is_refused(project: Path) -> None:
    with pytest.raises(NameNotFound, match="no target named"):
        resolve("emulated://commodore-64", project)
    with pytest.raises(NameNotFound, match="no firmware profile named"):
        resolve("emulated://raspberry-pi-4b?firmware=basic-v2", project)
    with pytest.raises(NameNotUnique):
        resolve("emulated://raspberry-pi", project)


def test_a_name_of_the_project_hides_the_users(project: Path) -> None:
    devices(project.parent / "config", '[device.a]\naddress = "ssh://user"\n[device.bench]\naddress = "ssh://user"\n')
    devices(project, '[device.a]\naddress = "ssh://project"\n')
    assert resolve("a", project).address == Ssh("project")
    assert resolve("device:ben", project).address == Ssh("user")
    assert resolve("ben", project).name == str(resolve("ben", project)) == "bench"


def test_a_projects_own_target_is_found_by_its_emulated_devices(project: Path) -> None:
    (project / "targets").mkdir()
    (project / "targets" / "bench-board.toml").write_text(BOARD)
    assert emulated("emulated://bench", project).target == "bench-board"


def test_relative_state_in_devices_toml_starts_at_its_folder(project: Path) -> None:
    devices(project, '[device.a]\naddress = "emulated://x86-64?state=here"\n')
    assert emulated("a", project).state == project / "here/x86-64/lading-litert/default"


def test_an_unknown_name_lists_near_ones(project: Path) -> None:
    devices(project, '[device.kitchen]\naddress = "ssh://k"\n')
    with pytest.raises(NameNotFound, match="no device named") as caught:
        resolve("kitchin", project)
    assert "kitchen" in caught.value.remedy
    devices(project, "")
    with pytest.raises(NameNotFound) as caught:
        resolve("kitchen", project)
    assert "lading device add" in caught.value.remedy


def test_a_group_opens_into_its_members_each_once(project: Path) -> None:
    devices(
        project,
        """
        [device.a]
        address = "ssh://a"
        [device.b]
        address = "serial:///dev/ttyUSB0"
        [group.inner]
        devices = ["b", "ssh://c"]
        [group.all]
        devices = ["a", "inner", "b"]
        """,
    )
    assert [d.address for d in resolve_many(["all", "ssh://c"], project)] == [
        Ssh("a"),
        Serial("/dev/ttyUSB0"),
        Ssh("c"),
    ]
    with pytest.raises(NameNotFound, match="is a group"):
        resolve("all", project)


def test_a_group_that_contains_itself_is_refused(project: Path) -> None:
    devices(project, '[group.x]\ndevices = ["y"]\n[group.y]\ndevices = ["x"]\n')
    with pytest.raises(DataFileError, match="contains itself"):
        resolve_many(["x"], project)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[device.a]\naddress = "nothing"', "device.a.address"),
        ("[device.a]\nadress = 'ssh://a'", "device.a.adress"),
        ("[device.a]", "device.a"),
        ('[device."a b"]\naddress = "ssh://a"', "device.a b"),
        ("[group.g]\ndevices = []", "group.g.devices"),
        ('[device.a]\naddress = "ssh://a"\n[group.a]\ndevices = ["ssh://a"]', "group.a"),
        ("[devices.a]\naddress = 'ssh://a'", "devices"),
    ],
)
def test_a_wrong_devices_file_names_the_key(project: Path, text: str, key: str) -> None:
    devices(project, text)
    with pytest.raises(DataFileError) as caught:
        resolve("a", project)
    assert caught.value.details["file"] == str(project / "devices.toml")
    assert key.rsplit(".", 1)[0] in caught.value.message
    assert caught.value.remedy


def test_writing_a_device_keeps_everything_else(project: Path) -> None:
    path = project / "devices.toml"
    registry.put(path, "a", Ssh("a"))
    path.write_text(
        path.read_text() + "# mine\n[device.b]\naddress = 'ssh://b' # the second\n[group.g]\ndevices = ['a']\n"
    )
    registry.put(path, "a", Ssh("other", "pi", 22))
    registry.put(path, "c.1", Serial('/dev/tty"\\'))
    text = path.read_text()
    assert "the second" in text
    known = registry.load(project)
    assert {n: e.address for n, e in known.devices.items()} == {
        "a": Ssh("other", "pi", 22),
        "b": Ssh("b"),
        "c.1": Serial('/dev/tty"\\'),
    }
    assert known.groups["g"].members == ("a",)
    assert registry.drop(path, "c.1")
    assert not registry.drop(path, "c.1")
    assert set(registry.load(project).devices) == {"a", "b"}
    assert [p.name for p in project.iterdir()] == ["devices.toml"]


@pytest.mark.parametrize("text", ["device.a.address = 'ssh://b'\n", "device = { a = { address = 'ssh://b' } }\n"])
def test_a_file_that_cannot_be_edited_safely_stays_as_it_is(project: Path, text: str) -> None:
    devices(project, text)
    before = (project / "devices.toml").read_text()
    with pytest.raises(DataFileError, match="without losing"):
        registry.put(project / "devices.toml", "a", Ssh("c"))
    with pytest.raises(DataFileError, match="without losing"):
        registry.drop(project / "devices.toml", "a")
    assert (project / "devices.toml").read_text() == before


def test_a_broken_file_is_not_written_over(project: Path) -> None:
    (project / "devices.toml").write_text("not toml")
    with pytest.raises(DataFileError):
        registry.put(project / "devices.toml", "a", Ssh("c"))
    assert (project / "devices.toml").read_text() == "not toml"


FINGERPRINT = "SHA256:" + "a" * 43


def test_a_device_keeps_the_host_key_that_it_must_show(project: Path) -> None:
    path = project / "devices.toml"
    registry.put(path, "a", Ssh("a"), f"ssh-ed25519 {FINGERPRINT}")
    registry.put(path, "b", Ssh("b"))
    assert resolve("a", project).host_key == f"ssh-ed25519 {FINGERPRINT}"
    assert resolve("b", project).host_key is None
    registry.put(path, "a", Ssh("a"), FINGERPRINT)
    assert resolve("a", project).host_key == FINGERPRINT
    registry.put(path, "a", Ssh("a"))
    assert resolve("a", project).host_key is None


@pytest.mark.parametrize(
    ("address", "host_key", "complaint"),
    [
        ("ssh://a", "SHA256:short", "not the fingerprint"),
        ("ssh://a", "MD5:00:11", "not the fingerprint"),
        ("ssh://a", f"ssh-rsa\n{FINGERPRINT}", "not the fingerprint"),
        ("emulated://raspberry-pi-4b", FINGERPRINT, "have no host key"),
    ],
)
def test_a_host_key_that_cannot_be_one_is_refused(project: Path, address: str, host_key: str, complaint: str) -> None:
    devices(project, f"[device.a]\naddress = '{address}'\nhost-key = {json.dumps(host_key)}\n")
    with pytest.raises(DataFileError, match=complaint) as caught:
        resolve("a", project)
    assert "device.a.host-key" in caught.value.message


def test_a_number_of_thousands_of_digits_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "devices.toml").write_text("schema = " + "9" * 10_000 + "\n")
    with pytest.raises(DataFileError, match=r"devices\.toml: cannot be read"):
        resolve("kitchen", tmp_path)
