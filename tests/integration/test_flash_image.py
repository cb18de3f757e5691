"""Flash images where they count: Zephyr starts from one as if it had been pushed to; and the verbs that write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading import profiles, targets
from lading.flash import image
from tests.integration.test_json import KEYS
from tests.support import flash
from tests.support.documents import keys_of
from tests.support.firmware import session, small
from tests.support.zephyr import Zephyr

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

WHOLE = 2 * 1024 * 1024


@pytest.fixture(autouse=True)
def _littlefs() -> None:
    flash.needs_littlefs()


def started(folder: Path, release: str) -> Zephyr:
    """A board whose flash holds an image from its first start on."""
    made = image.build(small(release), targets.find("zephyr-native-sim"), profiles.find("tflm-int8"))
    whole = bytearray(b"\xff" * WHOLE)
    whole[made.offset : made.offset + len(made.data)] = made.data
    (folder / "serial_fs.flash").write_bytes(whole)
    return Zephyr("serial_fs", folder)


def test_a_flashed_board_is_like_one_that_was_pushed_to(tmp_path: Path) -> None:
    flashed, pushed = tmp_path / "flashed", tmp_path / "pushed"
    flashed.mkdir()
    pushed.mkdir()
    with started(flashed, "1.0.0") as board, session(board.address) as here:
        told = here.status()
        assert here.push(small("1.0.0")).already_current
    with Zephyr("serial_fs", pushed) as board, session(board.address) as here:
        here.push(small("1.0.0"))
        assert here.status() == told


def test_a_flashed_board_takes_the_next_release_and_goes_back(tmp_path: Path) -> None:
    with started(tmp_path, "1.0.0") as board:
        with session(board.address) as here:
            result = here.push(small("1.1.0"))
            assert result.previous is not None
            assert result.previous.startswith("1.0.0-")
        board.reset()
        with session(board.address) as here:
            assert here.status()["apps"]["echo"]["current"].startswith("1.1.0-")
            assert here.rollback("echo")["current"].startswith("1.0.0-")


def test_the_verb_writes_the_image_and_says_how_to_flash_it(lading: Lading, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "storage.bin"
    document = lading.json("flash-image", digits, "rp2350", "--anyway", "-o", out, "--c-array", tmp_path / "app.h")
    assert set(KEYS["flash-image"]) <= keys_of(document)
    assert out.stat().st_size == document["size"] == 2368 * 1024
    assert document["commands"][0]["command"][-1] == "0x101b0000"
    assert "lading_model_digits" in (tmp_path / "app.h").read_text()
    text = lading("flash-image", digits, "esp32-s3", "--anyway", "--port", "/dev/ttyACM9", "-o", out).out
    assert "0x007c0000" in text
    assert f"--port /dev/ttyACM9 write_flash 0x7c0000 {out}" in text
    assert "together" in text


def test_what_does_not_fit_is_exit_status_1_and_writes_nothing(lading: Lading, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "storage.bin"
    refused = lading.json("flash-image", digits, "rp2350", "-o", out, expect=1)["error"]
    assert refused["code"] == "does-not-fit"
    assert refused["details"]["needed_bytes"] > refused["details"]["available_bytes"]
    refused = lading.json("flash-image", digits, "nrf5340-dk", "--anyway", "-o", out, expect=1)["error"]
    assert "the file system is full" in refused["message"]
    assert (
        lading.json("flash-image", digits, "x86-64", "--anyway", "-o", out, expect=1)["error"]["code"] == "flash-image"
    )
    assert lading.json("flash-image", digits, "nothing", "-o", out, expect=2)["error"]["code"] == "name-not-found"
    lading("flash-image", digits, "rp2350", expect=2)
    assert not out.exists()


def test_a_bundle_gives_the_image_that_its_project_gives(lading: Lading, digits: Path, tmp_path: Path) -> None:
    lading("pack", digits, "--no-variants", "-o", tmp_path / "d.lading")
    lading("flash-image", digits, "rp2350", "--anyway", "-o", tmp_path / "a.bin")
    lading("flash-image", tmp_path / "d.lading", "rp2350", "--anyway", "-o", tmp_path / "b.bin")
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()


def test_pack_writes_the_image_for_the_board_that_it_packs_for(lading: Lading, digits: Path, tmp_path: Path) -> None:
    out, bundle = tmp_path / "storage.bin", tmp_path / "d.lading"
    document = lading.json("pack", digits, "--for", "rp2350", "--flash-image", out, "--anyway", "-o", bundle)
    assert document["flash_image"]["size"] == out.stat().st_size
    lading("flash-image", bundle, "rp2350", "--anyway", "-o", tmp_path / "again.bin")
    assert out.read_bytes() == (tmp_path / "again.bin").read_bytes()
    lading("pack", digits, "--flash-image", out, "-o", bundle, expect=2)
    lading("pack", digits, "--for", "rp2350,esp32-s3", "--flash-image", out, "-o", bundle, expect=2)
    assert lading.json("pack", digits, "--for", "rp2350", "-o", bundle)["flash_image"] is None
