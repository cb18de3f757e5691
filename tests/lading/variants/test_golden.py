"""Golden vectors of retyped models say the same as those that they were made of."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.variants.golden import converted
from lading.variants.rewrite import retyped_model
from lading_agent.bill import Golden, Tensor
from lading_agent.nn.facts import read_model
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from typing import Any

DIGITS = EXAMPLES / "digits"
SCALES = (np.float32(1 / 255), np.float32(1 / 256))


def vector(kind: str) -> tuple[Golden, dict[str, bytes]]:
    """The example's own vector for one of its models."""
    contents: dict[str, bytes] = {}

    def tensor(name: str) -> Tensor:
        array = np.load(DIGITS / "golden" / kind / f"{name}.npy")
        data = array.tobytes()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        contents[digest] = data
        return Tensor(name, array.dtype.name, tuple(array.shape), digest, len(data))

    return Golden("digits", (tensor("image"),), (tensor("probabilities"),), tolerance=1), contents


def array(tensor: Tensor, contents: dict[str, bytes]) -> np.ndarray[Any, Any]:
    return np.frombuffer(contents[tensor.digest], tensor.dtype).reshape(tensor.shape)


@pytest.mark.parametrize(
    ("kind", "form"), [("int8", "uint8"), ("int8", "float32"), ("uint8", "int8"), ("uint8", "float32")]
)
def test_the_retyped_model_gives_what_its_vector_expects_exactly(kind: str, form: str) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = (DIGITS / "models" / f"digits_{kind}.tflite").read_bytes()
    made = retyped_model(model, form)
    assert made is not None
    golden, contents = vector(kind)
    found, more = converted(golden, read_model(model), made.facts, contents.__getitem__)
    contents.update((content.digest, content.data) for content in more)
    interpreter = Interpreter(model_content=made.data, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], array(found.inputs[0], contents))
    interpreter.invoke()
    got = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert got.dtype.name == form
    before = array(golden.outputs[0], contents).astype(np.int32)
    if form == "float32":
        low = np.iinfo(kind).min
        expected = (before - low).astype(np.float32) * SCALES[1]
        assert found.rtol == 0
        assert SCALES[1] < found.atol < 1.01 * SCALES[1]
        np.testing.assert_array_equal(array(found.outputs[0], contents), expected)
        assert np.abs(got - expected).max() <= found.atol
    else:
        assert found.tolerance == golden.tolerance
        assert np.abs(got.astype(np.int32) - array(found.outputs[0], contents)).max() <= found.tolerance


def test_there_and_back_is_the_same_vector() -> None:
    model = (DIGITS / "models" / "digits_int8.tflite").read_bytes()
    floats = retyped_model(model, "float32")
    assert floats is not None
    golden, contents = vector("int8")
    there, more = converted(golden, read_model(model), floats.facts, contents.__getitem__)
    contents.update((content.digest, content.data) for content in more)
    back, _ = converted(there, floats.facts, read_model(model), contents.__getitem__)
    assert [t.digest for t in (*back.inputs, *back.outputs)] == [t.digest for t in (*golden.inputs, *golden.outputs)]


def test_a_float_tolerance_becomes_at_least_one_step() -> None:
    model = (DIGITS / "models" / "digits_int8.tflite").read_bytes()
    floats = retyped_model(model, "float32")
    assert floats is not None
    golden, contents = vector("f32")
    for atol, steps in ((1e-5, 1), (10 / 256, 11)):
        given = Golden("digits", golden.inputs, golden.outputs, tolerance=0, atol=atol, rtol=1e-4)
        back, _ = converted(given, floats.facts, read_model(model), contents.__getitem__)
        assert back.tolerance == steps
        assert [t.dtype for t in (*back.inputs, *back.outputs)] == ["int8", "int8"]
