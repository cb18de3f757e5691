"""Command lines of the device's own runtimes: from the data of the shipped profiles to the very words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lading import profiles
from lading_agent.runs.program import MODULE, Program, covers, line_of
from lading_agent.runs.spec import DirSpec, Limits, ModelSpec, RunSpec
from lading_agent.runs.words import fill

if TYPE_CHECKING:
    from pathlib import Path


def _program(profile: str, tmp_path: Path, **more: Any) -> Program:
    doc = profiles.find(f"profile:{profile}").resolved()
    command = doc["command"]
    return Program(
        command["runtime"],
        f"/bin/{command['program']}",
        "1.0",
        command,
        doc["statuses"],
        str(tmp_path / "links"),
        **more,
    )


def _spec(tmp_path: Path, **more: Any) -> RunSpec:
    module, model = tmp_path / "0123", tmp_path / "4567"
    module.write_bytes(b"\0asm")
    model.write_bytes(b"model")
    return RunSpec(
        str(module),
        {},
        args=("--self-test", "{module}", "a b"),
        env={"MODE": "fast", "TOKEN": "secret"},
        dirs=(DirSpec("/host/data", "/data"), DirSpec("/host/var", "/var", writable=True)),
        models=(ModelSpec("digits", str(model), "1.0.0"),),
        **more,
    )


def test_wasmedge_is_told_directories_variables_and_models_by_name(tmp_path: Path) -> None:
    line = line_of(_program("wasmedge-0.17", tmp_path), _spec(tmp_path))
    model = tmp_path / "4567"
    assert line.words == [
        "/bin/wasmedge",
        *("--dir", "/data:/host/data:readonly", "--dir", "/var:/host/var"),
        *("--env", "MODE=fast", "--env", "TOKEN=secret"),
        *("--nn-preload", f"digits:TensorflowLite:CPU:{model}"),
        *("--nn-preload", f"digits@1.0.0:TensorflowLite:CPU:{model}"),
        *("--", str(line.folder / MODULE), "--self-test", "{module}", "a b"),
    ]


def test_iwasm_starts_where_its_models_are_files(tmp_path: Path) -> None:
    line = line_of(_program("wamr-2.4", tmp_path), _spec(tmp_path))
    assert line.words == [
        "/bin/iwasm",
        *("--map-dir=/data::/host/data", "--map-dir=/var::/host/var"),
        *("--env=MODE=fast", "--env=TOKEN=secret"),
        *(str(line.folder / MODULE), "--self-test", "{module}", "a b"),
    ]
    assert (line.folder / "digits").read_bytes() == (line.folder / "digits@1.0.0").read_bytes() == b"model"


def test_wasmtime_gets_secrets_in_its_environment_and_no_tflite_graphs(tmp_path: Path) -> None:
    line = line_of(_program("wasmtime-witx", tmp_path, hidden=("TOKEN",)), _spec(tmp_path))
    assert line.words == [
        *("/bin/wasmtime", "run", "-S", "nn=y"),
        *("--dir", "/host/data::/data", "--dir", "/host/var::/var"),
        *("--env", "MODE=fast", "--env", "TOKEN"),
        *(str(line.folder / MODULE), "--self-test", "{module}", "a b"),
    ]
    assert line.environment == {"TOKEN": "secret"}


def test_a_memory_limit_is_told_in_the_runtimes_own_unit(tmp_path: Path) -> None:
    spec = _spec(tmp_path, limits=Limits(memory_bytes=1024 * 1024 + 1))
    assert line_of(_program("wasmedge-0.17", tmp_path), spec).words[1:3] == ["--memory-page-limit", "16"]
    assert "max-memory-size=1048577" in line_of(_program("wasmtime-witx", tmp_path), spec).words
    huge = _spec(tmp_path, limits=Limits(memory_bytes=2**40))
    assert line_of(_program("wasmedge-0.17", tmp_path), huge).words[2] == "65536"


def test_a_graph_that_wasmtime_knows_is_a_folder_of_its_name(tmp_path: Path) -> None:
    model = ModelSpec("net", str(tmp_path / "4567"), encoding="onnx")
    spec = _spec(tmp_path)
    spec = RunSpec(spec.module, {}, models=(model,))
    line = line_of(_program("wasmtime-witx", tmp_path), spec)
    assert line.words[4:6] == ["-S", f"nn-graph=onnx::{line.folder / 'net'}"]
    assert (line.folder / "net" / "model.onnx").read_bytes() == b"model"


def test_the_same_content_is_linked_once_and_gone_content_is_forgotten(tmp_path: Path) -> None:
    program = _program("wasmedge-0.17", tmp_path)
    first = line_of(program, _spec(tmp_path)).folder
    assert line_of(program, _spec(tmp_path)).folder == first
    (tmp_path / "0123").unlink()
    other = tmp_path / "89ab"
    other.write_bytes(b"\0asm")
    second = line_of(program, RunSpec(str(other), {})).folder
    assert not first.exists()
    assert second.exists()


@pytest.mark.parametrize(
    ("profile", "covered", "others"),
    [
        ("wasmedge-0.17", ["0.15.0", "0.17.1"], ["0.14.1", "0.18.0", "0.17.1-12-gabc", "", "x"]),
        ("wasmedge-0.14", ["0.14.0", "0.14.1"], ["0.13.5", "0.15.0"]),
        ("wasmedge-main", [], ["0.17.1", "0.18.0"]),
        ("wamr-2.4", ["2.4.0", "2.4.5"], ["2.3.1", "2.5.0"]),
        ("wamr-main", ["2.4.3"], ["2.4.2", "2.4.4"]),
        ("wasmtime-witx", ["14.0.0", "49.0.3"], ["13.0.0", "50.0.1"]),
    ],
)
def test_a_profile_stands_for_its_releases_only(profile: str, covered: list[str], others: list[str]) -> None:
    command = profiles.find(f"profile:{profile}").resolved()["command"]
    assert [v for v in [*covered, *others] if covers(command, v)] == covered


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    assert fill(["{a}{b}", "{many}", "{unknown}"], {"a": "{b}", "b": "c"}, {"many": ["{a}", "x"]}) == [
        "{b}c",
        "{a}",
        "x",
        "{unknown}",
    ]
