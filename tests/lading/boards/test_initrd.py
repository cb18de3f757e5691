"""The first stage of a boot: modules in an order in which they load, archives as the kernel reads them."""

from __future__ import annotations

import lzma
import subprocess
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.boards import initrd
from tests.support.programs import need

if TYPE_CHECKING:
    from pathlib import Path


def module(folder: Path, name: str, *needs: str, packed: bool = False) -> None:
    data = b"\x7fELF...\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0name=" + name.encode() + b"\0"
    path = folder / f"{name}.ko{'.xz' if packed else ''}"
    path.write_bytes(lzma.compress(data) if packed else data)


def test_a_module_comes_after_all_that_it_needs(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    module(tmp_path / "kernel", "virtio")
    module(tmp_path / "kernel", "virtio_ring", "virtio")
    module(tmp_path, "virtio_mmio", "virtio_ring,virtio")
    module(tmp_path, "net_failover", "failover", packed=True)
    module(tmp_path, "failover")
    module(tmp_path, "virtio_net", "net_failover,virtio")
    found = list(initrd.collect(tmp_path, ["virtio_mmio", "virtio_net", "ext4"]))
    assert sorted(found) == sorted(
        f"{name}.ko" for name in ("virtio", "virtio_ring", "virtio_mmio", "failover", "net_failover", "virtio_net")
    )
    for path in tmp_path.rglob("*.ko*"):
        name = path.name.partition(".ko")[0]
        data = path.read_bytes()
        for other in initrd.depends(lzma.decompress(data) if path.suffix == ".xz" else data):
            assert found.index(f"{other}.ko") < found.index(f"{name}.ko")


def test_names_are_the_same_with_dashes_and_underscores(tmp_path: Path) -> None:
    module(tmp_path, "bcm2835-dma")
    module(tmp_path, "sdhci_iproc", "bcm2835-dma")
    assert list(initrd.collect(tmp_path, ["sdhci-iproc".replace("-", "_")])) == ["bcm2835_dma.ko", "sdhci_iproc.ko"]


def test_modules_that_need_each_other_end(tmp_path: Path) -> None:
    module(tmp_path, "a", "b")
    module(tmp_path, "b", "a")
    assert sorted(initrd.collect(tmp_path, ["a"])) == ["a.ko", "b.ko"]


def unpacked(archive: bytes, folder: Path) -> dict[str, bytes]:
    """What the real ``cpio`` of busybox makes of an archive."""
    folder.mkdir()
    subprocess.run([need("busybox"), "cpio", "-i", "-d"], input=archive, cwd=folder, check=True, capture_output=True)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_archive_is_read_by_others(tmp_path: Path) -> None:
    files = {"host_key": b"key\n", "password": b"x" * 4097, "empty": b""}
    found = unpacked(initrd.board_part(files), tmp_path / "out")
    assert found == {f"board/{name}": content for name, content in files.items()}


def test_the_part_of_a_board_can_follow_that_of_its_image() -> None:
    for size in range(1, 9):
        part = initrd.image_part(b"b" * size, {"virtio.ko": b"m"}, b"#!/bin/busybox sh\n")
        assert len(part) % 4 == 0, "the kernel looks for the next archive at multiples of 4 only"
        assert b"070701" in zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(part)


@given(st.dictionaries(st.text("abcdefgh_.", min_size=1, max_size=30), st.binary(max_size=300), max_size=6))
def test_every_header_stands_where_it_has_to(files: dict[str, bytes]) -> None:
    archive = initrd.board_part(files)
    at = 0
    names = []
    while True:
        assert at % 4 == 0
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        if name == "TRAILER!!!":
            break
        names.append(name)
        begin = at + 110 + fields[11]
        begin += -begin % 4
        if name != "board":
            assert archive[begin : begin + fields[6]] == files[name.removeprefix("board/")]
        at = begin + fields[6]
        at += -at % 4
    assert names == ["board", *(f"board/{name}" for name in files)]


@pytest.mark.parametrize("junk", [b"", b"no module at all", b"depends=", b"depends=a"])
def test_what_is_no_module_needs_nothing(junk: bytes) -> None:
    assert initrd.depends(junk) == []
