"""Facts of models: right for real ones, bounded and without surprises for damaged ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lading_agent.nn.facts import read_model
from tests.support.script_guest import MODELS, model


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.tflite")), ids=lambda p: p.stem)
def test_the_facts_are_those_of_the_interpreter(path: object) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    facts = read_model(model(str(path).rsplit("/", 1)[-1].removesuffix(".tflite")))
    assert not facts.error
    for details, tensors in (
        (interpreter.get_input_details(), facts.inputs),
        (interpreter.get_output_details(), facts.outputs),
    ):
        for detail, tensor in zip(details, tensors, strict=True):
            assert tensor.name == detail["name"]
            assert np.dtype(detail["dtype"]).name == tensor.dtype
            assert tuple(detail["shape"]) == tensor.shape
            assert tuple(detail["shape_signature"]) == tensor.signature
            scale, zero = detail["quantization"]
            assert scale == pytest.approx(tensor.scale)
            assert zero == tensor.zero_point
    for signature, names in interpreter.get_signature_list().items():
        assert signature
        assert set(facts.signature_inputs) == set(names["inputs"])
        assert set(facts.signature_outputs) == set(names["outputs"])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_models_are_facts_with_an_error_or_without(data: st.DataObject) -> None:
    good = bytearray(model(data.draw(st.sampled_from(["x_f32", "digits_int8"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(good)))
    facts = read_model(bytes(good[:cut]) if data.draw(st.booleans()) else bytes(good))
    assert isinstance(facts.error, str)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_identifier(tail: bytes) -> None:
    assert read_model(b"\x18\0\0\0TFL3" + tail).identifier
