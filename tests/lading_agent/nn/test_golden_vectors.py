"""Golden vectors compared by the runner: the bare model on this machine's interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lading_agent.runs.spec import GoldenSpec, Limits, ModelSpec, RunSpec, TensorFile
from tests.support.script_guest import MODELS, run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.script_guest import Outcome

X, Y = "serving_default_keras_tensor:0", "StatefulPartitionedCall_1:0"


def reference(name: str, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(MODELS / f"{name}.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def compared(
    folder: Path,
    litert: dict[str, Any],
    name: str,
    value: np.ndarray[Any, Any],
    expected: np.ndarray[Any, Any],
    *,
    tensors: tuple[str, str] = (X, Y),
    **more: Any,
) -> Outcome:
    files: list[TensorFile] = []
    for tensor, array in zip(tensors, (value, expected), strict=True):
        path = folder / f"{len(files)}.bin"
        path.write_bytes(array.tobytes())
        files.append(TensorFile(tensor, str(array.dtype), tuple(array.shape), str(path)))
    limits = more.pop("limits", Limits())
    golden = GoldenSpec("m", (files[0],), (files[1],), **more)
    models = (ModelSpec("m", str(MODELS / f"{name}.tflite")),)
    return run(RunSpec(module="", personality=litert, models=models, golden=(golden,), limits=limits))


IMAGE = (np.arange(64, dtype=np.float32) % 17 / 16).reshape(1, 8, 8, 1)
BYTES = (np.arange(64) * 3 - 100).astype(np.int8).reshape(1, 8, 8, 1)


@pytest.mark.parametrize(("name", "value"), [("digits_f32", IMAGE), ("digits_int8", BYTES)])
def test_a_right_vector_is_right(
    tmp_path: Path, litert: dict[str, Any], name: str, value: np.ndarray[Any, Any]
) -> None:
    ran = compared(tmp_path, litert, name, value, reference(name, value))
    (event,) = [e for e in ran.events if e["event"] == "golden"]
    assert (ran.result.outcome, ran.result.status) == ("exit", 0)
    assert (event["ok"], event["compared"], event["mismatch"]) == (True, 10, None)


def test_the_tensors_may_be_named_as_in_the_signature(tmp_path: Path, litert: dict[str, Any]) -> None:
    ran = compared(
        tmp_path, litert, "digits_f32", IMAGE, reference("digits_f32", IMAGE), tensors=("keras_tensor", "output_0")
    )
    assert ran.result.status == 0, ran.result


def test_integers_may_be_off_by_the_tolerance_and_no_more(tmp_path: Path, litert: dict[str, Any]) -> None:
    right = reference("digits_int8", BYTES)
    off = right.copy()
    off[0, 3] += 2 if right[0, 3] < 100 else -2
    assert compared(tmp_path, litert, "digits_int8", BYTES, off, tolerance=2).result.status == 0
    ran = compared(tmp_path, litert, "digits_int8", BYTES, off, tolerance=1)
    assert (ran.result.outcome, ran.result.status, ran.result.kind) == ("failed", 1, "golden-mismatch")
    (event,) = [e for e in ran.events if e["event"] == "golden"]
    assert event["mismatch"] == {
        "tensor": Y,
        "at": 3,
        "index": [0, 3],
        "expected": int(off[0, 3]),
        "got": int(right[0, 3]),
        "tolerance": 1.0,
        "unit": "steps",
    }
    assert event["worst"] == 2
    for word in (Y, str(int(off[0, 3])), str(int(right[0, 3])), "tolerance 1"):
        assert word in ran.result.message


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 0.5])
def test_floats_that_differ_are_a_mismatch(tmp_path: Path, litert: dict[str, Any], wrong: float) -> None:
    expected = reference("digits_f32", IMAGE)
    expected[0, 9] = wrong
    ran = compared(tmp_path, litert, "digits_f32", IMAGE, expected)
    assert ran.result.kind == "golden-mismatch"
    (event,) = [e for e in ran.events if e["event"] == "golden"]
    assert event["mismatch"]["index"] == [0, 9]


@pytest.mark.parametrize(
    ("tensors", "value", "expected", "word"),
    [
        (("nothing", Y), IMAGE, np.zeros((1, 10), np.float32), "no input 'nothing'"),
        ((X, "nothing"), IMAGE, np.zeros((1, 10), np.float32), "no output 'nothing'"),
        ((X, Y), IMAGE.astype(np.int8), np.zeros((1, 10), np.float32), "float32 1x8x8x1"),
        ((X, Y), IMAGE.reshape(64), np.zeros((1, 10), np.float32), "has float32 64"),
        ((X, Y), IMAGE, np.zeros(10, np.float32), "expects float32 [10]"),
    ],
)
def test_a_vector_that_does_not_fit_is_named(
    tmp_path: Path,
    litert: dict[str, Any],
    tensors: tuple[str, str],
    value: np.ndarray[Any, Any],
    expected: np.ndarray[Any, Any],
    word: str,
) -> None:
    ran = compared(tmp_path, litert, "digits_f32", value, expected, tensors=tensors)
    assert (ran.result.status, ran.result.kind) == (1, "golden-failed")
    assert word in ran.result.message


def test_a_model_over_the_limit_is_named(tmp_path: Path, litert: dict[str, Any]) -> None:
    limits = Limits(model_bytes=1000)
    ran = compared(tmp_path, litert, "digits_f32", IMAGE, np.zeros((1, 10), np.float32), limits=limits)
    assert (ran.result.status, ran.result.kind) == (125, "model-too-large")


def test_a_damaged_model_is_named(tmp_path: Path, litert: dict[str, Any]) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes((MODELS / "digits_f32.tflite").read_bytes()[:9000])
    golden = GoldenSpec("m", (), ())
    ran = run(RunSpec(module="", personality=litert, models=(ModelSpec("m", str(path)),), golden=(golden,)))
    assert (ran.result.status, ran.result.kind) == (1, "golden-failed")
    assert "model" in ran.result.message
