from __future__ import annotations

import os
import re
import stat
import tarfile
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.bundle import inspect_bundle, open_bundle, pack
from lading.errors import BundleError, LadingError, ModelError, ModuleError, ProjectError, UsageError
from lading.project import load_project
from tests.support.made_models import fully_connected
from tests.support.projects import FULL, WASM, full_project, small_project

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_project_gives_the_same_bytes(tmp_path: Path) -> None:
    first = pack(full_project(tmp_path / "one"))
    second_project = full_project(tmp_path / "two")
    for path in sorted(second_project.root.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
    second = pack(second_project, tmp_path / "elsewhere" / "x.lading")
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest
    assert pack(load_project(tmp_path / "one")).path.read_bytes() == first.path.read_bytes()


def test_what_is_packed_is_what_is_read(tmp_path: Path) -> None:
    packed = pack(full_project(tmp_path / "p"))
    assert packed.path == tmp_path / "p" / "dist" / "full-2.1.0-rc.1.lading"
    assert packed.size == packed.path.stat().st_size
    with open_bundle(packed.path) as bundle:
        bundle.verify()
        assert bundle.bill == packed.bill
        assert bundle.digest == packed.digest
        assert len(bundle.blobs) == packed.blob_count
    app = packed.bill.app
    assert (app.args, app.env, app.env_from_device) == (("images",), {"MODE": "fast"}, ("TOKEN",))
    assert (app.threads, app.timeout_s, app.memory_bytes) == (2, 60.0, 256 * 1024 * 1024)
    files = packed.bill.dirs[0].files
    assert [(f.path, f.executable) for f in files] == [("b.txt", False), ("empty", False), ("sub/run.sh", True)]
    golden = packed.bill.golden[0]
    assert golden.inputs[0].shape == (1, 4)
    assert packed.warnings == ()


def test_golden_tensors_are_raw_little_endian_bytes_in_c_order(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    values = np.arange(4, dtype=">f4").reshape(1, 4)
    np.save(project.root / "golden" / "x.npy", np.asfortranarray(values))
    packed = pack(project)
    with open_bundle(packed.path) as bundle, bundle.open_blob(packed.bill.golden[0].inputs[0].digest) as blob:
        assert blob.read() == values.astype("<f4").tobytes()


def test_equal_contents_are_stored_once(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "data" / "copy.tflite").write_bytes((project.root / "layer.tflite").read_bytes())
    packed = pack(project)
    assert packed.bill.sizes.total < packed.bill.sizes.models + packed.bill.sizes.files
    with open_bundle(packed.path) as bundle:
        bundle.verify()


def test_members_are_plain_and_in_order(tmp_path: Path) -> None:
    with tarfile.open(pack(full_project(tmp_path / "p")).path) as tar:
        members = tar.getmembers()
    assert [m.name for m in members[:2]] == ["oci-layout", "index.json"]
    assert all(m.isreg() and m.mode == 0o644 and m.mtime == m.uid == m.gid == 0 and not m.uname for m in members)
    assert len({m.name for m in members}) == len(members)


def test_inspect_says_what_is_on_board(tmp_path: Path) -> None:
    packed = pack(full_project(tmp_path / "p"))
    seen = inspect_bundle(packed.path)
    assert seen.verified
    assert seen.file_count == 3
    document = seen.to_json()
    assert document["app"]["name"] == "full"
    assert document["release"] == packed.bill.release
    assert document["sizes"]["total"] == packed.bill.sizes.total


def test_inspect_notices_a_damaged_content(tmp_path: Path) -> None:
    packed = pack(full_project(tmp_path / "p"))
    content = bytearray(packed.path.read_bytes())
    content[content.index(b"#!/bin/sh")] ^= 1
    packed.path.write_bytes(content)
    assert not inspect_bundle(packed.path, verify=False).verified
    with pytest.raises(BundleError, match="damaged"):
        inspect_bundle(packed.path)


def test_progress_goes_to_its_end(tmp_path: Path) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def progress(name: str, done: int, total: int) -> None:
        assert done <= total
        seen[name] = (done, total)

    packed = pack(full_project(tmp_path / "p"), progress=progress)
    assert set(seen) == {"hash", "write"}
    assert all(done == total for done, total in seen.values())
    assert seen["write"][0] >= packed.bill.sizes.total


def test_a_bundle_gets_the_mode_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    packed = pack(small_project(tmp_path / "p"))
    assert stat.S_IMODE(packed.path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_bundles_in_a_shipped_folder_stay_ashore(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    text = FULL.replace('host = "data"', 'host = "."')
    project.file.write_text(text)
    first = pack(load_project(project.root)).path.read_bytes()
    again = pack(load_project(project.root))
    assert again.path.read_bytes() == first
    assert all(not file.path.endswith(".lading") for file in again.bill.dirs[0].files)


def test_hidden_files_are_shipped_and_named(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "data" / ".env").write_text("SECRET=1")
    packed = pack(project)
    assert ".env" in [file.path for file in packed.bill.dirs[0].files]
    assert packed.warnings == ("/data ships hidden files: .env",)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "void").mkdir()
    project.file.write_text(FULL.replace('host = "data"', 'host = "void"'))
    assert "is empty" in pack(load_project(project.root)).warnings[0]


def test_a_model_without_any_test_is_named(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    project.file.write_text(FULL.split("[[golden]]", maxsplit=1)[0])
    assert "no golden vector for layer@1.0.0" in pack(load_project(project.root)).warnings[0]


def refuse(project_root: Path, kind: type[LadingError], words: str) -> LadingError:
    """Packing is refused, and no bundle is left, whole or not."""
    with pytest.raises(kind, match=words) as caught:
        pack(load_project(project_root))
    assert caught.value.remedy
    assert not list(project_root.rglob("*.lading"))
    assert not list(project_root.rglob("*.partial"))
    return caught.value


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "data" / "link").symlink_to("/etc/passwd")
    refuse(project.root, ProjectError, "data/link is a symbolic link")


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "data" / "link").symlink_to(tmp_path)
    refuse(project.root, ProjectError, "data/link is a symbolic link")


def test_a_named_pipe_is_refused(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    os.mkfifo(project.root / "data" / "pipe")
    refuse(project.root, ProjectError, "data/pipe is a named pipe")


@pytest.mark.parametrize("name", ["a\nb", "a\\b", b"\xff\xfe"])
def test_a_name_that_no_device_should_see_is_refused(tmp_path: Path, name: str | bytes) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "data" / os.fsdecode(name)).touch()
    refuse(project.root, ProjectError, "name")


def test_a_component_is_refused_by_name(tmp_path: Path) -> None:
    project = small_project(tmp_path / "p")
    (project.root / "small.wasm").write_bytes(b"\0asm\x0d\0\1\0")
    assert "wasip1" in refuse(project.root, ModuleError, "component").remedy


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "not a WebAssembly module"), (b"(module)", "not a WebAssembly module"), (b"\0asm\2\0\0\0", "version 2")],
)
def test_what_is_no_module_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    project = small_project(tmp_path / "p")
    (project.root / "small.wasm").write_bytes(content)
    refuse(project.root, ModuleError, words)


@pytest.mark.parametrize("content", [b"", b"ONNX", b"\x1c\0\0\0TFL3" + b"\xff" * 60])
def test_what_is_no_tflite_model_is_refused(tmp_path: Path, content: bytes) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "layer.tflite").write_bytes(content)
    refuse(project.root, ModelError, "model 'layer'")


def test_a_model_of_another_encoding_is_taken_as_it_is(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "layer.tflite").write_bytes(b"anything")
    text = FULL.replace('path = "layer.tflite"', 'path = "layer.tflite"\nencoding = "onnx"')
    project.file.write_text(text)
    assert pack(load_project(project.root)).bill.models[0].encoding == "onnx"


@pytest.mark.parametrize("file", ["full.wasm", "layer.tflite", "golden/x.npy"])
def test_a_missing_file_is_named(tmp_path: Path, file: str) -> None:
    project = full_project(tmp_path / "p")
    (project.root / file).unlink()
    refuse(project.root, ProjectError, re.escape(file))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    project.file.write_text(FULL.replace('host = "data"', 'host = "nowhere"'))
    refuse(project.root, ProjectError, "nowhere is not a folder")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, 5), np.float32), r"shape \[1, 5\].*\[1, 4\]"),
        (np.zeros(4, np.float32), r"shape \[4\]"),
        (np.zeros((1, 4), np.float64), "holds float64.*float32"),
        (np.zeros((1, 4), np.complex64), "holds complex64"),
        (np.array([["a"]]), "holds <U1"),
    ],
)
def test_a_golden_tensor_that_does_not_fit_is_refused(tmp_path: Path, array: np.ndarray, words: str) -> None:
    project = full_project(tmp_path / "p")
    np.save(project.root / "golden" / "x.npy", array)
    refuse(project.root, ProjectError, f"golden.0..inputs.x: .*{words}")


def test_a_pickled_array_is_not_loaded(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    np.save(project.root / "golden" / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    refuse(project.root, ProjectError, "not an .npy file of numbers")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY\1\0v\0{'descr'", b"text"])
def test_a_damaged_npy_file_is_refused(tmp_path: Path, content: bytes) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "golden" / "x.npy").write_bytes(content)
    refuse(project.root, ProjectError, "x.npy")


def test_a_golden_tensor_that_the_model_does_not_have_is_refused(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    project.file.write_text(FULL.replace('"y" = ', '"z" = '))
    assert refuse(project.root, ProjectError, "outputs.z: the model has no such tensor").remedy == "it has: y"


def test_a_missing_golden_input_is_named(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    (project.root / "two.tflite").write_bytes(fully_connected(1, 4))
    project.file.write_text(FULL.replace('inputs = { "x" = "golden/x.npy" }', 'inputs = { "y" = "golden/y.npy" }'))
    refuse(project.root, ProjectError, "inputs.y: the model has no such tensor")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    project = small_project(tmp_path / "p")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        pack(project, tmp_path / "file" / "x.lading")


def test_a_failure_leaves_the_old_bundle(tmp_path: Path) -> None:
    packed = pack(full_project(tmp_path / "p"))
    old = packed.path.read_bytes()
    (tmp_path / "p" / "full.wasm").write_bytes(b"broken")
    with pytest.raises(ModuleError):
        pack(load_project(tmp_path / "p"))
    assert packed.path.read_bytes() == old


def test_a_file_that_changes_while_it_is_packed_is_noticed(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    model = project.root / "layer.tflite"

    def meddle(stage: str, done: int, total: int) -> None:
        if stage == "hash" and done == total:
            model.write_bytes(model.read_bytes()[:-1] + b"\xff")
            later = time.time_ns() + 10**9
            os.utime(model, ns=(later, later))

    with pytest.raises(ProjectError, match="changed while"):
        pack(project, progress=meddle)
    assert not list(project.root.rglob("*.lading"))


def test_the_engines_that_a_project_asks_for_are_in_the_bill(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    bare = pack(project).bill
    assert bare.engines == {}
    project.file.write_text(project.file.read_text() + '[engines]\nwasmtime = "49.0.0"\n')
    packed = pack(load_project(tmp_path))
    assert packed.bill.engines == {"wasmtime": "49.0.0"}
    assert packed.bill.serial != bare.serial
    with open_bundle(packed.path) as bundle:
        assert bundle.bill.engines == {"wasmtime": "49.0.0"}


def test_an_engine_that_is_not_in_the_catalogue_is_refused(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    project.file.write_text(project.file.read_text() + '[engines]\nwasmtime = "1.0.0"\n')
    with pytest.raises(ProjectError, match=r"wasmtime 1\.0\.0 is not in the catalogue") as caught:
        pack(load_project(tmp_path))
    assert "50.0.1" in caught.value.remedy


def test_a_wasm_module_of_8_bytes_is_enough(tmp_path: Path) -> None:
    assert pack(small_project(tmp_path / "p")).bill.variants[0].module.size == len(WASM)
