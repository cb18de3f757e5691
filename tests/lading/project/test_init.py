from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bundle import pack
from lading.errors import LadingError, ModelError, ModuleError, ProjectError
from lading.project import ModelSource, init_project, load_project
from tests.support.made_models import fully_connected
from tests.support.projects import WASM

if TYPE_CHECKING:
    from pathlib import Path

INT8_MODEL = "examples/digits/models/digits_int8.tflite"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "My Guest.wasm"
    path.write_bytes(WASM)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "layer.tflite"
    path.write_bytes(fully_connected(1, 4))
    return path


def test_the_project_packs_as_it_stands(tmp_path: Path, module: Path, model: Path) -> None:
    made = init_project(tmp_path / "My Project", module, [ModelSource(model)])
    assert {path.name for path in made.copied} == {"My Guest.wasm", "layer.tflite"}
    packed = pack(made.project)
    assert packed.bill.app.name == "my-project", "two projects with a guest.wasm are two apps"
    assert packed.bill.models[0].name == "layer"


def test_a_project_without_models_packs_too(tmp_path: Path, module: Path) -> None:
    assert pack(init_project(tmp_path / "p", module).project).bill.models == ()


def test_files_in_the_folder_stay_where_they_are(tmp_path: Path, module: Path) -> None:
    inside = tmp_path / "build" / "guest.wasm"
    inside.parent.mkdir()
    inside.write_bytes(WASM)
    made = init_project(tmp_path, inside)
    assert made.copied == ()
    assert made.project.app.module == "build/guest.wasm"


def test_inputs_and_outputs_are_suggested(tmp_path: Path, module: Path, model: Path) -> None:
    made = init_project(tmp_path / "p", module, [ModelSource(model, "net")])
    text = made.project.file.read_text()
    assert "# input  x: float32 [1, 4]" in text
    assert '# outputs = { "y" = "golden/net/y.npy" }' in text
    assert "lading golden record --model net --input x=x.npy" in text
    assert any("golden" in note for note in made.notes)


def test_the_suggestions_are_a_project_when_they_are_uncommented(tmp_path: Path, module: Path, model: Path) -> None:
    file = init_project(tmp_path / "p", module, [ModelSource(model)]).project.file
    lines = [
        line.removeprefix("# ")
        if line.startswith("# ") and ("=" in line or "[[" in line) and "--input" not in line
        else line
        for line in file.read_text().splitlines()
    ]
    lines = [line for line in lines if not line.startswith(("input ", "output "))]
    file.write_text("\n".join(line if "To record one" not in line else "" for line in lines))
    project = load_project(tmp_path / "p")
    assert project.golden[0].model == "layer"
    assert project.smoke[0].args == ["--self-test"]
    assert project.timeout_s == 60.0


def test_int8_tensors_are_noticed(tmp_path: Path, module: Path, pytestconfig: pytest.Config) -> None:
    made = init_project(tmp_path / "p", module, [ModelSource(pytestconfig.rootpath / INT8_MODEL, "digits")])
    assert made.project.models[0].int8 == "as-u8"
    assert 'int8 = "as-u8"' in made.project.file.read_text()
    assert any("quantize-f32" in note for note in made.notes)


def test_float_models_have_no_int8_policy_in_the_file(tmp_path: Path, module: Path, model: Path) -> None:
    assert "int8" not in init_project(tmp_path / "p", module, [ModelSource(model)]).project.file.read_text()


def test_nothing_is_overwritten_without_force(tmp_path: Path, module: Path) -> None:
    folder = tmp_path / "p"
    init_project(folder, module)
    (folder / "lading.toml").write_text("mine")
    with pytest.raises(ProjectError, match="is there already") as caught:
        init_project(folder, module)
    assert "--force" in caught.value.remedy
    assert (folder / "lading.toml").read_text() == "mine"
    assert init_project(folder, module, force=True).project.app.name == "p"


def test_another_file_of_the_same_name_is_not_overwritten(tmp_path: Path, module: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / module.name).write_bytes(b"other")
    with pytest.raises(ProjectError, match="another content"):
        init_project(folder, module)
    assert (folder / module.name).read_bytes() == b"other"
    assert not (folder / "lading.toml").exists()
    init_project(folder, module, force=True)
    assert (folder / module.name).read_bytes() == WASM


def test_two_files_of_one_name_are_refused(tmp_path: Path, module: Path, model: Path) -> None:
    other = tmp_path / "other" / model.name
    other.parent.mkdir()
    other.write_bytes(fully_connected(1, 8))
    with pytest.raises(ProjectError, match="two files are called"):
        init_project(tmp_path / "p", module, [ModelSource(model, "a"), ModelSource(other, "b")])


@pytest.mark.parametrize(
    ("case", "kind", "words"),
    [
        ("no module", ModuleError, "is not there"),
        ("text module", ModuleError, "not a WebAssembly module"),
        ("no model", ModelError, "is not there"),
        ("text model", ModelError, "TFLite"),
        ("same name", ProjectError, "two models"),
        ("bad app name", ProjectError, "name of an app"),
        ("bad model name", ProjectError, "name of a model"),
    ],
)
def test_refused_before_anything_is_written(
    tmp_path: Path, module: Path, model: Path, case: str, kind: type[LadingError], words: str
) -> None:
    name, models = None, [ModelSource(model)]
    if case == "no module":
        module.unlink()
    elif case == "text module":
        module.write_text("(module)")
    elif case == "no model":
        model.unlink()
    elif case == "text model":
        model.write_text("text")
    elif case == "same name":
        models *= 2
    elif case == "bad app name":
        name = "My App"
    else:
        models = [ModelSource(model, "a@b")]
    with pytest.raises(kind, match=words) as caught:
        init_project(tmp_path / "p", module, models, name=name)
    assert caught.value.remedy
    assert not (tmp_path / "p").exists()
