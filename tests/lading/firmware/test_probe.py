"""Probing microcontrollers: real Zephyr in several builds, also such as have no files or do not tell their buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.errors import SmpRefused
from lading.probe.prober import probe
from lading.probe.report import report
from tests.support.firmware import session, small
from tests.support.zephyr import Zephyr

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("kind", "buffer", "hashes"),
    [
        ("serial_fs", {"buf_size": 1024, "buf_count": 4}, ["crc32", "sha256"]),
        ("serial_buf96", {"buf_size": 96, "buf_count": 4}, []),
        ("serial_noparams", {}, []),
        ("shell", {"buf_size": 384, "buf_count": 4}, []),
    ],
)
def test_what_it_says_is_measured_and_the_rest_declared(
    tmp_path: Path, kind: str, buffer: dict[str, int], hashes: list[str]
) -> None:
    with Zephyr(kind, tmp_path) as board, session(board.address, answer_s=1.5) as device:
        document = report(probe(device, board.address))
    facts = {name: entry["value"] for name, entry in document["facts"].items()}
    assert facts["os"]["name"] == "Zephyr"
    assert facts["os"]["version"] == "4.4.0"
    assert facts["os"]["board"] == "native_sim/native"
    assert facts["mcumgr"] == buffer
    assert facts["hashes"] == hashes
    assert {"os-management", "enum-management"} <= set(facts["groups"])
    assert {entry["known_by"] for entry in document["facts"].values()} == {"measured"}
    assert {entry["known_by"] for entry in document["structural"].values()} == {"declared"}
    assert {entry["known_by"] for entry in document["soft"].values()} == {"declared"}
    assert document["probe"]["guests"] == 0


def test_a_firmware_without_files_takes_no_release(tmp_path: Path) -> None:
    with Zephyr("shell", tmp_path) as board, session(board.address, answer_s=1.5) as device:
        with pytest.raises(SmpRefused) as refused:
            device.push(small("1.0.0"))
        assert refused.value.reason == "ENOTSUP"


def test_a_folder_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with Zephyr("serial_fs", tmp_path) as board, session(board.address, root="/nowhere") as device:
        assert device.status()["apps"] == {}
        with pytest.raises(SmpRefused, match="/nowhere"):
            device.push(small("1.0.0"))
