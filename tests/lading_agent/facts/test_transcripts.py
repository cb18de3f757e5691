"""Facts read from what real and documented systems print: each transcript's first line says which it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lading_agent.facts.gather import facts_of
from lading_agent.facts.script import SECTIONS, split

TRANSCRIPTS = Path(__file__).parents[2] / "data" / "transcripts"


def facts(name: str) -> dict[str, Any]:
    return facts_of(split((TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sorted(TRANSCRIPTS.glob("*.txt")), ids=lambda p: p.stem)
def test_every_transcript_says_where_it_comes_from_and_has_every_source(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(("# Recorded: ", "# Constructed from public documentation"))
    assert list(split(text)) == [name for name, _ in SECTIONS]
    found = facts(path.stem)
    assert found["system"]["architecture"]
    assert found["os"]["id"]
    assert found["cpu"]["cores"] >= 1
    assert found["memory"]["total_bytes"] > 0
    assert found["storage"]["free_bytes"] > 0


def test_debian_on_x86_64() -> None:
    found = facts("debian-12-x86_64")
    assert found["system"]["architecture"] == "x86_64"
    assert found["os"] | {"vendor": {}} == {
        "id": "debian",
        "name": "Debian GNU/Linux 12 (bookworm)",
        "version": "12",
        "codename": "bookworm",
        "like": [],
        "vendor": {},
    }
    assert {"avx2", "sse4_2", "fma"} <= set(found["cpu"]["features"])
    assert found["cpu"]["model"] == "AMD EPYC"
    assert found["libc"] == {"kind": "glibc", "version": "2.36"}
    assert found["libstdcxx"]["glibcxx"] == "3.4.30"
    assert found["storage"]["free_inodes"] > 0


def test_debian_on_a_qemu_board() -> None:
    found = facts("debian-12-arm64-qemu")
    assert found["system"]["architecture"] == "aarch64"
    assert found["board"] == "linux,dummy-virt"
    assert found["cpu"]["model"] == "Cortex-A72"
    assert found["cpu"]["cores"] == 2
    assert {"asimd", "crc32", "aes"} <= set(found["cpu"]["features"])
    assert 450 * 2**20 < found["memory"]["total_bytes"] < 512 * 2**20
    assert found["libc"] == {"kind": "glibc", "version": "2.36"}
    assert found["python"][0]["version"].startswith("3.11")


def test_debian_on_a_risc_v_qemu_board() -> None:
    found = facts("debian-13-riscv64-qemu")
    assert found["system"]["architecture"] == "riscv64"
    assert found["os"]["codename"] == "trixie"
    assert {"i", "m", "a", "f", "d", "c", "zba", "zbb"} <= set(found["cpu"]["features"])
    assert found["libc"] == {"kind": "glibc", "version": "2.41"}
    assert found["python"][0]["version"].startswith("3.13")


def test_busybox_gives_the_same_facts_but_for_what_it_lacks() -> None:
    full, small = facts("debian-12-x86_64"), facts("busybox-1.35")
    for key in ("system", "os", "cpu", "libstdcxx"):
        assert small[key] == full[key]
    assert small["storage"].keys() == full["storage"].keys()
    assert small["memory"].keys() == full["memory"].keys()
    assert small["libc"] == {}, "BusyBox has no ldd"


def test_raspberry_pi_4() -> None:
    found = facts("raspberry-pi-os-bookworm-arm64")
    assert found["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["cpu"]["model"] == "Cortex-A72"
    assert found["cpu"]["cores"] == 4
    assert found["cpu"]["features"] == ["asimd", "cpuid", "crc32", "evtstrm", "fp"]
    assert [(r["name"], r["version"]) for r in found["runtimes"]] == [("WasmEdge", "0.14.1"), ("WAMR", "2.4.1")]
    assert found["python"] == [{"path": "/usr/bin/python3", "version": "3.11.2"}]
    assert [(a["kind"], a["evidence"]) for a in found["accelerators"]] == [
        ("gpu", "/dev/dri/renderD128"),
        ("tpu", "USB 18d1:9302"),
    ]
    assert found["init"] == "systemd"


def test_raspberry_pi_5_on_trixie() -> None:
    found = facts("raspberry-pi-os-trixie-arm64")
    assert found["cpu"]["model"] == "Cortex-A76"
    assert "asimddp" in found["cpu"]["features"]
    assert found["libc"] == {"kind": "glibc", "version": "2.41"}
    assert found["libstdcxx"]["glibcxx"] == "3.4.33"
    assert found["runtimes"][0]["version"] == "36.0.2"
    assert {a["kind"] for a in found["accelerators"]} == {"tpu", "gpu", "npu"}


def test_a_32_bit_user_land() -> None:
    found = facts("raspberry-pi-os-bookworm-armhf")
    assert found["system"]["architecture"] == "armv7l"
    assert found["cpu"]["hardware"] == "BCM2835"
    assert "neon" in found["cpu"]["features"]
    assert found["os"]["like"] == ["debian"]
    assert "Coral USB Accelerator (before its firmware is loaded)" in [a["name"] for a in found["accelerators"]]


def test_openwrt_with_musl() -> None:
    found = facts("openwrt-23.05-aarch64")
    assert found["libc"] == {"kind": "musl", "version": "1.2.4"}
    assert found["os"]["vendor"]["openwrt_arch"] == "aarch64_cortex-a53"
    assert found["storage"]["mounted"] == "/overlay"
    assert "free_inodes" not in found["storage"]
    assert found["python"] == []
    assert found["libstdcxx"] == {}
    assert found["init"] == "procd"


def test_yocto_with_a_wrapped_line_of_df() -> None:
    found = facts("yocto-scarthgap-imx8mp")
    assert found["storage"]["filesystem"].startswith("/dev/disk/by-partuuid/")
    assert found["storage"]["free_bytes"] == 10200000 * 1024
    assert found["os"]["codename"] == "scarthgap"
    assert "Vivante GPU or NPU (galcore)" in [a["name"] for a in found["accelerators"]]


def test_risc_v() -> None:
    found = facts("debian-riscv64-visionfive-2")
    assert found["system"]["architecture"] == "riscv64"
    assert found["cpu"]["model"] == "sifive,u74-mc"
    assert {"i", "m", "a", "f", "d", "c", "zba", "zbb"} <= set(found["cpu"]["features"])


def test_tegra_is_one_accelerator_however_many_signs_it_has() -> None:
    found = facts("jetson-linux-36-orin-nano")
    assert [a["name"] for a in found["accelerators"]].count("NVIDIA Tegra GPU") == 1
    assert found["cpu"]["model"] == "Cortex-A78AE"
