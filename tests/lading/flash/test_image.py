"""Flash images: what a push would leave, and only what fits."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import wasmtime

from lading import profiles, targets
from lading.errors import BundleError, DataFileError, DoesNotFit, FlashImageError
from lading.firmware import pointer, release_file
from lading.flash import budget, c_array, filesystem, image, picture, writers
from lading.targets.load import all_targets, load_target
from tests.support import flash
from tests.support.cargo import cargo
from tests.support.firmware import small

if TYPE_CHECKING:
    from tests.support.cargo import Cargo

ROOT = Path(__file__).parents[3]
MODEL = (ROOT / "tests/data/models/digits_int8.tflite").read_bytes()
TFLM = profiles.find("tflm-int8")


@pytest.fixture(autouse=True)
def _littlefs() -> None:
    flash.needs_littlefs()


def mounted(data: bytes, block: int = 4096) -> dict[str, bytes]:
    """What a LittleFS of other parameters than ours finds in an image."""
    from littlefs import LittleFS, UserContext

    system = LittleFS(
        context=UserContext(buffer=bytearray(data)), block_size=block, block_count=len(data) // block, mount=False
    )
    system.mount()
    found = {}
    for name in system.listdir("/"):
        with system.open(f"/{name}", "rb") as file:
            found[str(name)] = bytes(file.read())
    return found


def guest(pages: int) -> bytes:
    return bytes(wasmtime.wat2wasm(f'(module (memory (export "memory") {pages}) (func (export "_start")))'))


def app(pages: int = 1, model: bytes = MODEL) -> Cargo:
    made = cargo(model=model, golden=False, state=(), files={}, smoke=())
    module = made.bill.variants[0].module.digest
    made.contents[module] = guest(pages)
    return made


def test_the_files_are_a_pointer_and_the_release_that_it_names(tmp_path: Path) -> None:
    made = image.build(small("1.0.0"), flash.board(tmp_path), TFLM)
    files = mounted(made.data)
    assert {name: len(data) for name, data in files.items()} == made.files
    found = pointer.choose(files.get("ldp0"), files.get("ldp1"))
    assert found is not None
    (entry,) = found[1].entries
    assert entry.flags == pointer.CURRENT
    header = release_file.decode(files[f"ld{entry.slot:02x}"])
    assert header is not None
    assert header.crc == entry.header_crc
    assert header.release == made.release


def test_large_pieces_have_files_of_their_own(tmp_path: Path) -> None:
    made = image.build(small("1.0.0", 20_000), flash.board(tmp_path), TFLM)
    assert sorted(made.files) == ["ld00", "ld01", "ldp0"]
    assert 20_000 in made.files.values()


def test_the_image_is_the_whole_partition_and_knows_where_it_goes(tmp_path: Path) -> None:
    made = image.build(small("1.0.0"), flash.board(tmp_path, size="128KiB"), TFLM)
    assert len(made.data) == 128 * 1024
    assert (made.offset, made.address) == (0x80000, 0x8080000)
    assert 0 < made.used_bytes <= 16 * 1024


def test_the_same_bundle_gives_the_same_bytes(tmp_path: Path) -> None:
    target = flash.board(tmp_path)
    assert image.build(small("1.0.0"), target, TFLM).data == image.build(small("1.0.0"), target, TFLM).data


def test_releases_go_to_the_folder_that_the_profile_names(tmp_path: Path) -> None:
    import msgspec

    assert TFLM.mcu is not None
    deep = msgspec.structs.replace(TFLM, mcu=msgspec.structs.replace(TFLM.mcu, root="/lfs1/lading/releases"))
    made = image.build(small("1.0.0"), flash.board(tmp_path), deep)
    assert "ldp0" in made.files


def test_a_release_that_is_too_large_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        image.build(small("1.0.0", 60_000), flash.board(tmp_path, size="32KiB"), TFLM)
    assert caught.value.exit_status == 1
    assert caught.value.details["partition_bytes"] == 32 * 1024
    assert caught.value.details["release_bytes"] > 60_000


def test_a_variant_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no variant 'small'"):
        image.build(small("1.0.0"), flash.board(tmp_path), TFLM, "small")


@pytest.mark.parametrize("name", ["raspberry-pi-4b", "x86-64"])
def test_boards_with_an_operating_system_take_no_image(name: str) -> None:
    with pytest.raises(FlashImageError, match="says nothing about partitions") as caught:
        image.build(small("1.0.0"), targets.find(name), TFLM)
    assert "lading push" in caught.value.remedy


def test_without_littlefs_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = flash.board(tmp_path)
    monkeypatch.setattr(filesystem, "installed", lambda: False)
    with pytest.raises(FlashImageError) as caught:
        image.build(small("1.0.0"), target, TFLM)
    assert caught.value.remedy == "pip install 'lading[flash]'"


@pytest.mark.parametrize("target", [t for t in all_targets() if t.table.flash], ids=lambda t: t.id)
def test_every_shipped_layout_makes_an_image_and_a_command(target: targets.Target) -> None:
    assert target.table.flash is not None
    made = image.build(small("1.0.0"), target, TFLM)
    assert mounted(made.data, made.block_bytes)
    commands = writers.commands(target.table.flash, made, Path("storage.bin"))
    assert commands
    for command in commands:
        assert any("storage.bin" in word for word in command.words)
        assert "{" not in command.line


# --- memory ---------------------------------------------------------------------------------------------------------


def test_a_run_needs_guest_models_and_arena(tmp_path: Path) -> None:
    found = budget.budget(app(), flash.board(tmp_path), TFLM)
    sizes = {part.name: part.size for part in found.parts}
    assert sizes["guest memory"] == 65536
    assert any(name.startswith("model ") and size == len(MODEL) for name, size in sizes.items())
    assert any(name.startswith("arena of ") and size > 0 for name, size in sizes.items())
    budget.check(found, flash.board(tmp_path))


def test_linked_guests_and_models_stay_in_flash(tmp_path: Path) -> None:
    target = flash.board(tmp_path)
    names = {part.name for part in budget.budget(app(), target, TFLM, linked=True).parts}
    assert not any(name == "guest" or name.startswith("model ") for name in names)
    assert any(name.startswith("arena of ") for name in names)


def test_a_guest_that_asks_for_too_much_is_refused_with_the_figures(tmp_path: Path) -> None:
    target = flash.board(tmp_path, ram="128KiB")
    with pytest.raises(DoesNotFit, match="guest memory 256 KiB") as caught:
        budget.check(budget.budget(app(pages=4), target, TFLM), target)
    assert caught.value.details["available_bytes"] == 128 * 1024


def test_an_arena_that_the_firmware_does_not_have_is_refused(tmp_path: Path) -> None:
    import msgspec

    from lading.units import Size

    poor = msgspec.structs.replace(TFLM, limits=msgspec.structs.replace(TFLM.limits, arena_bytes=Size(100)))
    with pytest.raises(DoesNotFit, match="needs an arena of at least"):
        budget.budget(app(), flash.board(tmp_path), poor)


def test_linked_models_have_to_fit_where_firmware_goes(tmp_path: Path) -> None:
    target = flash.board(tmp_path, app="4KiB")
    with pytest.raises(DoesNotFit, match="firmware on small-board has 4 KiB"):
        budget.check_linked(app(), target)
    assert budget.check_linked(app(), flash.board(tmp_path)) >= len(MODEL)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_command_lines_are_filled_from_the_image(tmp_path: Path) -> None:
    target = flash.board(tmp_path)
    assert target.table.flash is not None
    made = image.build(small("1.0.0"), target, TFLM)
    (command,) = writers.commands(target.table.flash, made, Path("my image.bin"), "/dev/ttyACM3")
    assert command.words == (
        "write", "0x8080000", "0x80000", "524288", "0x10000", "/dev/ttyACM3", "my image.bin", "{other}"
    )  # fmt: skip
    assert "'my image.bin'" in command.line


def test_the_picture_has_a_line_for_every_partition_and_gap(tmp_path: Path) -> None:
    target = flash.board(tmp_path)
    assert target.table.flash is not None
    lines = picture.flash_map(target.table.flash, image.build(small("1.0.0"), target, TFLM))
    assert [line.split()[3] for line in lines] == ["boot", "–", "app", "–", "storage"]
    assert "used" in lines[-1]
    assert picture.memory_map(budget.budget(app(), target, TFLM))[-1].startswith("together")


@pytest.mark.parametrize(("part", "whole", "filled"), [(0, 10, 0), (1, 10**9, 1), (5, 10, 12), (20, 10, 24), (0, 0, 0)])
def test_bars(part: int, whole: int, filled: int) -> None:
    assert picture.bar(part, whole).count(picture.FULL) == filled
    assert len(picture.bar(part, whole)) == picture.WIDTH


@pytest.mark.parametrize("compiler", [["gcc", "-std=c11", "-x", "c"], ["g++", "-std=c++11", "-x", "c++"]])
def test_the_header_compiles_and_holds_the_bytes(tmp_path: Path, compiler: list[str]) -> None:
    import shutil
    import subprocess

    if shutil.which(compiler[0]) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"there is no {compiler[0]}")
        pytest.skip(f"there is no {compiler[0]}")
    (tmp_path / "app.h").write_text(c_array.header(app()))
    (tmp_path / "main.c").write_text(
        '#include "app.h"\n#include <stdio.h>\n'
        "int main(void) { for (int i = 0; i < LADING_MODELS; i++)"
        " if ((uintptr_t)lading_models[i].data % 16) return 1;"
        " fwrite(lading_guest, 1, sizeof lading_guest, stdout);"
        " fwrite(lading_models[0].data, 1, lading_models[0].size, stdout); return 0; }\n"
    )
    program = tmp_path / "program"
    subprocess.run([*compiler, "-Wall", "-Wextra", "-Werror", tmp_path / "main.c", "-o", program], check=True)
    assert subprocess.run([program], capture_output=True, check=True).stdout == guest(1) + MODEL


def test_names_that_are_no_identifiers_do_not_break_the_header() -> None:
    text = c_array.header(cargo(app="a.b-c", model=b"x", golden=False))
    assert "#ifndef LADING_A_B_C_H" in text
    assert text.count("*/") == text.count("/*")


# --- the table [flash] ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("offset = 0x80000", "offset = 0x8000"), "begins before 'app' ends"),
        (('use = "releases"', 'use = "other"'), "0 partitions are for releases"),
        (("offset = 0x80000", "offset = 0x80100"), "at least two blocks"),
        (('size = "64KiB", use = "releases"', 'size = "2MiB", use = "releases"'), "reaches past the flash"),
        (('kind = "flash"\nsize = "1MiB"', 'kind = "flash"\nsize = 0'), "storage.size"),
        (("offset = 0,", "offset = -1,"), "offset"),
    ],
)
def test_a_wrong_layout_is_named(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    text = flash.TARGET.format(size="64KiB", ram="256KiB", app="256KiB")
    assert change[0] in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(DataFileError, match=words):
        load_target(path)


def test_a_file_that_cannot_be_written_is_not_taken_for_a_full_one(tmp_path: Path) -> None:
    from lading.errors import SmpRefused
    from lading.firmware.files import is_no_space

    target = flash.board(tmp_path)
    assert target.table.flash is not None
    files = filesystem.ImageFiles(64 * 1024, target.table.flash.littlefs, "/lfs1")
    with pytest.raises(SmpRefused) as caught:
        files.write("none/none", io.BytesIO(b"x"), 1)
    assert not is_no_space(caught.value)
