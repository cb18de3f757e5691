"""Paths that lead to pipes, devices and the user's own sources: nothing waits for them, nothing replaces them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lading.bundle import import_bundle, pack
from lading.errors import LadingError, ModelError, ModuleError, ProjectError, UsageError
from lading.golden.tensors import load_npy
from lading.project import init_project, load_project
from tests.support.projects import full_project, small_project

if TYPE_CHECKING:
    from collections.abc import Callable


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [pipe, endless])
@pytest.mark.parametrize(("file", "error"), [("full.wasm", ProjectError), ("layer.tflite", LadingError)])
def test_a_pipe_or_a_device_in_a_file_s_place_is_refused_and_not_read(
    tmp_path: Path, make: Callable[[Path], None], file: str, error: type[LadingError]
) -> None:
    project = full_project(tmp_path / "p")
    (project.root / file).unlink()
    make(project.root / file)
    with pytest.raises(error, match="not a regular file"):
        pack(project)


@pytest.mark.parametrize("make", [pipe, endless])
def test_a_pipe_in_a_tensor_s_place_is_refused_and_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "x.npy")
    with pytest.raises(ProjectError, match="not a regular file"):
        load_npy(tmp_path / "x.npy", "golden input 'x'")


def test_an_output_that_is_a_pipe_is_refused_and_stays(tmp_path: Path) -> None:
    project = small_project(tmp_path / "p")
    place = tmp_path / "place"
    pipe(place)
    with pytest.raises(UsageError, match="not a regular file"):
        pack(project, place)
    assert place.is_fifo()


def test_an_output_that_is_a_device_node_is_refused() -> None:
    from lading.bundle.writer import _refuse_to_replace

    with pytest.raises(UsageError, match="not a regular file"):
        _refuse_to_replace(Path(os.devnull))


def test_a_slip_of_the_pen_does_not_cost_the_project_s_own_files(tmp_path: Path) -> None:
    project = small_project(tmp_path / "p")
    before = project.file.read_bytes()
    with pytest.raises(UsageError, match="is no bundle"):
        pack(project, project.file)
    assert project.file.read_bytes() == before
    bundle = pack(project, tmp_path / "x.lading").path
    with pytest.raises(UsageError, match="is no bundle"):
        import_bundle(bundle, project.file)
    assert project.file.read_bytes() == before
    assert [path.name for path in project.root.iterdir() if path.name.startswith(".")] == []


def test_an_old_bundle_and_an_empty_file_are_replaced(tmp_path: Path) -> None:
    project = small_project(tmp_path / "p")
    place = tmp_path / "x.lading"
    place.touch()
    whole = pack(project, place).path.read_bytes()
    assert pack(project, place).path.read_bytes() == whole


def test_a_guest_whose_name_is_not_utf_8_makes_no_project(tmp_path: Path) -> None:
    guest = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wasm"))
    guest.write_bytes(b"\0asm\1\0\0\0")
    with pytest.raises(ProjectError, match="not UTF-8"):
        init_project(tmp_path / "p", guest, [])
    assert not (tmp_path / "p").exists()


def test_errors_of_special_files_are_of_their_kind(tmp_path: Path) -> None:
    from lading.bundle.cargo import check_module
    from lading.golden.model_io import read_facts

    pipe(tmp_path / "f")
    with pytest.raises(ModuleError):
        check_module(tmp_path / "f")
    with pytest.raises(ModelError):
        read_facts(tmp_path / "f", "model 'm'")
    with pytest.raises(ProjectError, match=r"no lading\.toml"):
        load_project(tmp_path / "f")
