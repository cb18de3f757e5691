from __future__ import annotations

import shutil
import tomllib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.bundle import pack
from lading.errors import LadingError, ModelError, ProjectError, UsageError
from lading.golden import record
from lading.golden.toml_edit import golden_table
from lading.project import Project, load_project
from tests.support.made_models import fully_connected
from tests.support.projects import FULL, WASM, full_project, small_project

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """\
# My app.   Mind the spaces!
schema   =  1
[app]
name="mine" # short
version='1.0.0'
module = "full.wasm"

[[model]]
  name = "layer"
  path = "layer.tflite"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "p"
    root.mkdir()
    (root / "full.wasm").write_bytes(WASM)
    (root / "layer.tflite").write_bytes(fully_connected(1, 4))
    (root / "lading.toml").write_text(HEAD)
    return load_project(root)


@pytest.fixture
def x(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32).reshape(1, 4))
    return tmp_path / "x.npy"


def reference(model: Path, x: Path) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.load(x))
    interpreter.invoke()
    output: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output


def test_a_vector_is_recorded_and_added_to_the_file(project: Project, x: Path) -> None:
    [made] = record(project, inputs={"x": x})
    assert made.added
    assert made.inputs == {"x": "golden/layer/x.npy"}
    assert made.outputs == {"y": "golden/layer/y.npy"}
    assert "litert" in made.engine
    recorded = np.load(project.root / "golden/layer/y.npy")
    np.testing.assert_array_equal(recorded, reference(project.root / "layer.tflite", x))
    again = load_project(project.root)
    assert again.golden[0].outputs == made.outputs
    assert len(pack(again).bill.golden) == 1


def test_what_the_user_wrote_stays_as_it_is(project: Project, x: Path) -> None:
    record(project, inputs={"x": x})
    text = project.file.read_text()
    assert text.startswith(HEAD)
    assert text[len(HEAD) :].startswith("\n[[golden]]\n")


def test_windows_line_ends_stay(project: Project, x: Path) -> None:
    project.file.write_bytes(HEAD.replace("\n", "\r\n").encode())
    record(load_project(project.root), inputs={"x": x})
    assert b"\n" not in project.file.read_bytes().replace(b"\r\n", b"")


def test_a_file_without_a_last_line_end_is_continued(project: Project, x: Path) -> None:
    project.file.write_text(HEAD.rstrip("\n"))
    record(load_project(project.root), inputs={"x": x})
    assert load_project(project.root).golden


def test_an_input_inside_the_project_is_named_where_it_lies(project: Project, x: Path) -> None:
    inside = project.root / "samples" / "first.npy"
    inside.parent.mkdir()
    shutil.copy(x, inside)
    [made] = record(project, inputs={"x": inside})
    assert made.inputs == {"x": "samples/first.npy"}


def test_a_second_vector_gets_a_folder_of_its_own(project: Project, tmp_path: Path, x: Path) -> None:
    record(project, inputs={"x": x})
    other = tmp_path / "other.npy"
    np.save(other, np.ones((1, 4), np.float32))
    [made] = record(load_project(project.root), inputs={"x": other})
    assert made.outputs == {"y": "golden/layer-2/y.npy"}
    assert len(load_project(project.root).golden) == 2


def test_the_same_inputs_again_refresh_the_outputs(project: Project, x: Path) -> None:
    record(project, inputs={"x": x})
    text = project.file.read_text()
    (project.root / "layer.tflite").write_bytes(fully_connected(2, 4))
    [made] = record(load_project(project.root), inputs={"x": project.root / "golden/layer/x.npy"})
    assert not made.added
    assert project.file.read_text() == text
    np.testing.assert_array_equal(
        np.load(project.root / "golden/layer/y.npy"), reference(project.root / "layer.tflite", x)
    )


def test_without_inputs_every_vector_is_recorded_again(tmp_path: Path) -> None:
    project = full_project(tmp_path / "p")
    [made] = record(project)
    assert not made.added
    expected = reference(project.root / "layer.tflite", project.root / "golden/x.npy")
    np.testing.assert_array_equal(np.load(project.root / "golden/y.npy"), expected)


def test_files_in_the_way_are_not_overwritten(project: Project, x: Path) -> None:
    (project.root / "golden" / "layer").mkdir(parents=True)
    (project.root / "golden" / "layer" / "y.npy").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        record(project, inputs={"x": x})
    assert (project.root / "golden" / "layer" / "y.npy").read_bytes() == b"mine"
    record(project, inputs={"x": x}, force=True)
    assert load_project(project.root).golden


def test_an_inline_list_of_vectors_is_left_to_the_user(project: Project, x: Path) -> None:
    vector = 'golden = [{ model = "layer", inputs = { x = "a.npy" }, outputs = { y = "b.npy" } }]\n'
    text = HEAD.replace("[app]", vector + "[app]")
    project.file.write_text(text)
    with pytest.raises(ProjectError, match="cannot be added") as caught:
        record(load_project(project.root), inputs={"x": x})
    assert "[[golden]]" in caught.value.remedy
    assert project.file.read_text() == text


def test_names_that_need_quotes_are_quoted() -> None:
    table = golden_table("m", {'serving_default_x:0"\\': "a/b.npy"}, {"zeile\n\x7f": "c.npy"})
    read = tomllib.loads(table)["golden"][0]
    assert read["inputs"] == {'serving_default_x:0"\\': "a/b.npy"}
    assert read["outputs"] == {"zeile\n\x7f": "c.npy"}
    assert read["tolerance"] == 1


def refuse(project: Project, kind: type[LadingError], words: str, **inputs: Path) -> LadingError:
    """Recording is refused and leaves the file alone."""
    before = project.file.read_bytes()
    with pytest.raises(kind, match=words) as caught:
        record(project, inputs=inputs)
    assert caught.value.remedy
    assert project.file.read_bytes() == before
    return caught.value


def test_an_unknown_input_is_refused_with_the_known_ones(project: Project, x: Path) -> None:
    assert "x (float32 1x4)" in refuse(project, UsageError, "no input 'z'", z=x).remedy


def test_an_input_that_does_not_fit_is_refused(project: Project, tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((1, 5), np.float32))
    refuse(project, ProjectError, r"\[1, 5\].*\[1, 4\]", x=tmp_path / "wide.npy")


def test_a_missing_input_file_is_named(project: Project, tmp_path: Path) -> None:
    refuse(project, ProjectError, "nothing.npy", x=tmp_path / "nothing.npy")


def test_nothing_to_record_is_wrong_use(project: Project) -> None:
    refuse(project, UsageError, "no golden vector to record again")


def test_a_project_without_models_is_refused(tmp_path: Path, x: Path) -> None:
    refuse(small_project(tmp_path / "small"), UsageError, "0 models", x=x)


def test_a_model_of_another_encoding_is_refused(tmp_path: Path, x: Path) -> None:
    project = full_project(tmp_path / "q")
    project.file.write_text(FULL.replace('path = "layer.tflite"', 'path = "layer.tflite"\nencoding = "onnx"'))
    refuse(load_project(project.root), ModelError, "TFLite models only", x=x)


def test_a_model_that_the_interpreter_refuses_is_named(project: Project, x: Path) -> None:
    model = project.root / "layer.tflite"
    # One row of weights too little: the file can be read, the interpreter cannot prepare it.
    content = fully_connected(1, 4).replace((16 * 4).to_bytes(4, "little"), (12 * 4).to_bytes(4, "little"))
    model.write_bytes(content)
    refuse(project, ModelError, "model 'layer'", x=x)
    assert not (project.root / "golden/layer/y.npy").exists()


def test_a_model_that_takes_too_long_is_ended(project: Project, tmp_path: Path) -> None:
    (project.root / "layer.tflite").write_bytes(fully_connected(1, 1024, repeat=20000))
    np.save(tmp_path / "long.npy", np.zeros((1, 1024), np.float32))
    with pytest.raises(ModelError, match="did not come to an end within 2 s"):
        record(project, inputs={"x": tmp_path / "long.npy"}, timeout_s=2)
