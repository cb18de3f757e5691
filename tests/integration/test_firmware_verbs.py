"""The verbs against real Zephyr, with a firmware profile whose commands are those of Zephyr's own shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.projects import small_project
from tests.support.zephyr import udp_board

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.command import Lading

PROFILE = """
schema = 1
extends = "tflm-int8"
title = "Zephyr with its stock shell"
[provenance]
known-by = "declared"
source = "Zephyr's documentation"
[mcu]
storage-bytes = "8KiB"
run = ["kernel", "version"]
output = "none"
stop = ["kernel", "uptime"]
"""


@pytest.fixture
def device(lading: Lading, tmp_path: Path) -> Iterator[str]:
    profiles = lading.home / "config" / "lading" / "firmware_profiles"
    profiles.mkdir(parents=True)
    (profiles / "zephyr-stock.toml").write_text(PROFILE)
    with udp_board(tmp_path) as board:
        yield f"{board.address}?firmware=zephyr-stock"


def test_the_whole_way_on_a_microcontroller(lading: Lading, device: str, tmp_path: Path) -> None:
    project = tmp_path / "small"
    small_project(project)
    report = lading.json("probe", device)
    assert report["facts"]["os"]["value"]["version"] == "4.4.0"
    assert report["facts"]["os"]["known_by"] == "measured"
    assert report["soft"]["runtime"]["known_by"] == "declared"
    assert "sha256" in report["facts"]["hashes"]["value"]
    assert "shell-management" in report["facts"]["groups"]["value"]
    assert "--allow-unknown" in lading("deploy", project, device, expect=1).err
    done = lading("deploy", project, device, "--allow-unknown")
    assert done.out == "Zephyr version 4.4.0\n"
    assert "is current" in done.err
    config = project / "lading.toml"
    config.write_text(config.read_text().replace("1.0.0", "2.0.0"))
    pushed = lading.json("push", project, device)["devices"][0]["push"]
    assert pushed["previous"].startswith("1.0.0-")
    ran = lading.json("run", device)
    assert (ran["status"], ran["stdout"], ran["release"]) == (0, "Zephyr version 4.4.0\n", pushed["release"])
    status = lading.json("status", device)
    assert status["disk"] == {"used_bytes": 8192, "free_bytes": 0, "free_inodes": None}
    assert status["apps"]["small"]["previous"] == pushed["previous"]
    config.write_text(config.read_text().replace("2.0.0", "3.0.0"))
    refused = lading.json("push", project, device, expect=1)["devices"][0]
    assert refused["error"]["code"] == "no-space"
    assert refused["error"]["details"]["current"] == pushed["release"]
    assert lading.json("stop", device)["stopped"][0]["app"] == "small"
    assert lading.json("rollback", device)["current"] == pushed["previous"]
    assert lading("run", device, "--detach", expect=125).err.count("a microcontroller cannot") == 1
    assert lading.json("remove", device, "small")["freed_bytes"] == 8192
    assert lading.json("status", device)["apps"] == {}
