"""Target files: the shipped ones, and wrong ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lading import datafiles, targets
from lading.errors import DataFileError, NameNotFound
from lading.targets.schema import SerialTransport, SshTransport

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024

PINNED_PROFILES = {
    "lading-litert", "lading-tflite-runtime", "wasi-nn-witx", "wasmedge-0.14", "wasmedge-0.17", "wasmedge-main",
    "wamr-1.3-legacy", "wamr-2.3-legacy", "wamr-2.4-legacy", "wamr-main-legacy", "wamr-2.3", "wamr-2.4", "wamr-main",
    "wasmtime-witx", "wasmtime-wit", "tflm-int8",
}  # fmt: skip

GOOD = """
schema = 1
title = "A board"
summary = "A board."
kind = "linux"
profiles = ["lading-litert"]
[cpu]
architecture = "aarch64"
[memory]
ram = "1GiB"
variants = ["1GiB", "2GiB"]
[storage]
kind = "sd-card"
[[transport]]
scheme = "ssh"
[provenance]
known-by = "declared"
sources = ["https://example.org"]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "targets").mkdir(exist_ok=True)
    path = folder / "targets" / "board.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("id_", targets.ids())
def test_every_shipped_target_loads_and_refers_to_known_profiles(id_: str) -> None:
    target = targets.find(id_)
    assert target.origin == "shipped"
    assert set(target.profiles) <= PINNED_PROFILES
    assert target.table.provenance.sources
    assert all(source.startswith("https://") for source in target.table.provenance.sources)
    document = target.resolved()
    assert json.loads(json.dumps(document)) == document
    assert {"id", "name", "architecture", "memory_bytes", "run_memory_bytes", "storage_bytes", "profiles"} <= set(
        document
    )
    if target.memory_bytes is not None:
        assert target.run_memory_bytes is not None
        assert 0 < target.run_memory_bytes < target.memory_bytes


def test_the_boards_people_own_are_there() -> None:
    assert set(targets.ids()) >= {
        "raspberry-pi-zero-w", "raspberry-pi-zero-2-w", "raspberry-pi-3b-plus", "raspberry-pi-4b", "raspberry-pi-5",
        "beaglebone-black", "coral-dev-board", "imx8mp-evk", "jetson-orin-nano", "stm32mp157", "visionfive-2",
        "esp32-s3", "nrf5340-dk", "stm32h747i-disco", "rp2350", "qemu-virt-arm64", "zephyr-native-sim", "x86-64",
    }  # fmt: skip


def test_a_board_of_several_sizes_counts_as_its_smallest() -> None:
    pi = targets.find("raspberry-pi-4")
    assert (pi.memory_bytes, pi.run_memory_bytes) == (1024 * MIB, 768 * MIB)
    assert targets.find("raspberry-pi-zero-2-w").run_memory_bytes == 320 * MIB
    assert targets.find("x86-64").run_memory_bytes is None


def test_microcontrollers_say_how_much_flash_they_have() -> None:
    chips = [t for t in targets.all_targets() if t.table.kind == "microcontroller"]
    assert len(chips) >= 5
    for chip in chips:
        assert chip.storage_bytes


def test_transports_carry_their_defaults(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    assert targets.find("board", tmp_path).transports == (SshTransport(port=22),)
    pi = targets.find("raspberry-pi-4b")
    assert any(isinstance(t, SerialTransport) and t.baud == 115200 for t in pi.transports)
    assert [t["scheme"] for t in pi.resolved()["transports"]] == ["ssh", "serial"]


def test_a_projects_file_hides_the_shipped_one(tmp_path: Path) -> None:
    write(tmp_path, GOOD).rename(tmp_path / "targets" / "x86-64.toml")
    assert targets.find("x86-64", tmp_path).architecture == "aarch64"
    assert targets.find("x86-64").architecture == "x86_64"


def test_a_miss_lists_near_targets() -> None:
    with pytest.raises(NameNotFound) as caught:
        targets.find("rasberry-pi-5")
    assert "raspberry-pi-5" in caught.value.remedy


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ('kind = "linux"', 'kind = "windows"', "kind"),
        ('ram = "1GiB"', 'ram = "1 gigabyte"', "memory.ram"),
        ('ram = "1GiB"', 'ram = "2GiB"', "memory.ram"),
        ('ram = "1GiB"', 'ram = "1GiB"\nrun = "3GiB"', "memory.run"),
        ('ram = "1GiB"', 'rom = "1GiB"', "memory.rom"),
        ('["1GiB", "2GiB"]', '["1GiB", "2GiB", "2GiB"]', "memory.variants"),
        ('["1GiB", "2GiB"]', '["1GiB", "2 bits"]', "memory.variants[1]"),
        ('["lading-litert"]', "[]", "profiles"),
        ('["lading-litert"]', '["../x"]', "profiles[0]"),
        ('["lading-litert"]', '["lading-litert", "lading-lite"]', "profiles[1]"),
        ('["lading-litert"]', '["lading-litert", "lading-litert"]', "profiles"),
        ('scheme = "ssh"', 'scheme = "ssh"\nport = 70000', "transport[0].port"),
        ('scheme = "ssh"', 'scheme = "ssh"\nbaud = 9600', "transport[0].baud"),
        ('scheme = "ssh"', 'scheme = "serial+smp"', "transport"),
        ('scheme = "ssh"', 'scheme = "telepathy"', "transport[0].scheme"),
        ('architecture = "aarch64"', 'architecture = "z80"', "cpu.architecture"),
        ('architecture = "aarch64"', 'architecture = "aarch64"\ncores = "four"', "cpu.cores"),
        ("sources = [", "sources = [] #", "provenance.sources"),
        ('kind = "sd-card"', 'kind = "sd-card"\nsize = 0', "storage.size"),
        ("schema = 1", "schema = 2", "schema"),
    ],
)
def test_a_wrong_file_is_refused_with_file_key_and_remedy(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(DataFileError) as caught:
        targets.find("board", tmp_path)
    assert caught.value.details == {"file": str(path), "key": key}
    assert str(path) in caught.value.message
    assert caught.value.remedy


def test_vendor_keys_are_ignored(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("[cpu]", "[x-lab]\nshelf = 3\n[cpu]\nx-stepping = 2"))
    assert targets.find("board", tmp_path).title == "A board"


def test_shipped_files_are_where_the_wheel_or_the_source_tree_has_them() -> None:
    assert (datafiles.shipped_dir("targets") / "raspberry-pi-4b.toml").is_file()
