"""What a guest gets from the six functions."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from lading_agent.runs.spec import ModelSpec
from tests.support.script_guest import MODELS, SIX, SIZE, Script, model

if TYPE_CHECKING:
    from pathlib import Path

F32, U8, I32, I64, F16, F64 = 1, 3, 4, 5, 0, 2
IMAGE = (np.arange(64, dtype=np.float32) % 17 / 16).reshape(1, 8, 8, 1)


def reference(name: str, *inputs: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    interpreter = Interpreter(model_path=str(MODELS / f"{name}.tflite"))
    interpreter.allocate_tensors()
    for detail, value in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def test_a_float_model_gives_the_bare_interpreter_s_answer(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    graph = script.load(model("digits_f32"))
    context = script.init()
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), F32, IMAGE.tobytes()))
    script.call("compute", 0)
    at, written = script.output(40)
    ran = script.run(tmp_path, litert)
    assert (ran.result.outcome, ran.result.status, ran.errnos) == ("exit", 0, [0] * 5)
    assert (ran.u32(graph), ran.u32(context), ran.u32(written)) == (0, 0, 40)
    np.testing.assert_allclose(ran.floats(at, 10), reference("digits_f32", IMAGE)[0][0], rtol=1e-6)
    assert ran.memory[at + 40 : at + 56] == b"\xcc" * 16
    assert ran.stderr == b""


def test_the_same_answer_comes_every_time_and_follows_its_input(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("digits_f32"))
    script.init()
    images = [IMAGE, IMAGE[:, ::-1], IMAGE * 0, IMAGE]
    tensors = [script.tensor((1, 8, 8, 1), F32, np.ascontiguousarray(i).tobytes()) for i in images]
    places = []
    for _ in range(3):
        for tensor in tensors:
            script.call("set_input", 0, 0, tensor)
            script.call("compute", 0)
            places.append(script.output(40)[0])
    ran = script.run(tmp_path, litert)
    assert set(ran.errnos) == {0}
    for turn, at in enumerate(places):
        expected = reference("digits_f32", np.ascontiguousarray(images[turn % 4]))[0][0]
        np.testing.assert_allclose(ran.floats(at, 10), expected, rtol=1e-6)


def test_one_record_with_other_data_each_time_is_read_anew(tmp_path: Path, litert: dict[str, Any]) -> None:
    """What is remembered of a record that was good before must not hide that the record has changed."""
    script = Script()
    script.load(model("x_f32"))
    script.init()
    record = script.tensor((1, 4), F32, struct.pack("<4f", 1, 2, 3, 4))
    other = script.put(struct.pack("<4f", 5, 6, 7, 8))
    script.call("set_input", 0, 0, record)
    script.call("compute", 0)
    first, _ = script.output(16)
    script.poke(record + 12, other)
    script.call("set_input", 0, 0, record)
    script.call("compute", 0)
    second, _ = script.output(16)
    script.poke(record + 16, 12)
    script.call("set_input", 0, 0, record)
    script.poke(record + 16, 16)
    script.poke(record + 12, SIZE - 8)
    script.call("set_input", 0, 0, record)
    script.poke(record + 12, other)
    script.poke(record + 8, 3)
    script.call("set_input", 0, 0, record)
    script.poke(record + 8, 1)
    script.call("set_input", 0, 0, record)
    script.poke(record, other)
    script.call("set_input", 0, 0, record)
    ran = script.run(tmp_path, litert)
    assert ran.floats(first, 4) == (2, 3, 4, 5)
    assert ran.floats(second, 4) == (6, 7, 8, 9)
    assert [ran.errnos[i] for i in (10, 13, 16, 18, 20)] == [1, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "code", "dtype"),
    [("x_f32", F32, "<f4"), ("x_f16", F16, "<f2"), ("x_f64", F64, "<f8"), ("x_u8", U8, "u1"), ("x_i32", I32, "<i4"),
     ("x_i64", I64, "<i8")],
)  # fmt: skip
def test_each_type_that_wasi_nn_can_name_passes(
    tmp_path: Path, litert: dict[str, Any], name: str, code: int, dtype: str
) -> None:
    value = np.array([[1, 2, 3, 100]], dtype)
    script = Script()
    script.load(model(name))
    script.init()
    expected = reference(name, value)[0]
    tensor, at, written = script.tensor((1, 4), code, value.tobytes()), script.space(64), script.put(b"....")
    for _ in range(4):
        script.call("set_input", 0, 0, tensor)
        script.call("compute", 0)
        script.call("get_output", 0, 0, at, expected.nbytes, written)
    ran = script.run(tmp_path, litert)
    assert set(ran.errnos) == {0}
    assert ran.u32(written) == expected.nbytes
    assert ran.memory[at : at + expected.nbytes] == expected.tobytes()


def test_several_inputs_outputs_and_contexts_do_not_mix(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("x_two_in"))
    script.load(model("x_two_out"))
    for graph in (0, 0, 1):
        script.init(graph)
    fives = script.tensor((1, 4), F32, struct.pack("<4f", 5, 5, 5, 5))
    ones = script.tensor((1, 4), F32, struct.pack("<4f", 1, 1, 1, 1))
    for context, (a, b) in enumerate([(fives, ones), (ones, fives)]):
        script.call("set_input", context, 0, a)
        script.call("set_input", context, 1, b)
    script.call("set_input", 2, 0, fives)
    for context in (0, 1, 2):
        script.call("compute", context)
    places = [script.output(16, context=c, index=i)[0] for c, i in ((0, 0), (1, 0), (2, 0), (2, 1))]
    ran = script.run(tmp_path, litert)
    assert set(ran.errnos) == {0}
    five, one = np.full((1, 4), 5, np.float32), np.full((1, 4), 1, np.float32)
    expected = [*reference("x_two_in", five, one), *reference("x_two_in", one, five), *reference("x_two_out", five)]
    for at, value in zip(places, expected, strict=True):
        np.testing.assert_array_equal(ran.floats(at, 4), value.reshape(-1))


def test_int8_passes_as_bytes_unless_the_bill_says_otherwise(tmp_path: Path, litert: dict[str, Any]) -> None:
    values = np.clip(np.round(IMAGE / 0.003921568859368563) - 128, -128, 127).astype(np.int8)
    script = Script()
    script.load(model("digits_int8"))
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), U8, values.tobytes()))
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), F32, IMAGE.tobytes()))
    script.call("compute", 0)
    at, written = script.output(10)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 0, 1, 0, 0]
    assert ran.u32(written) == 10
    assert ran.memory[at : at + 10] == reference("digits_int8", values)[0].tobytes()
    assert "serving_default_keras_tensor:0" in ran.logs()
    assert "int8 1x8x8x1" in ran.logs()
    assert "sent f32" in ran.logs()


@pytest.mark.parametrize("by_bytes", [False, True])
def test_int8_is_quantized_by_the_host_where_the_bill_says_so(
    tmp_path: Path, litert: dict[str, Any], by_bytes: bool
) -> None:
    spec = ModelSpec("digits", str(MODELS / "digits_int8.tflite"), "1.0.0", int8="quantize-f32")
    script = Script()
    if by_bytes:
        script.load(model("digits_int8"))
    else:
        script.load_by_name(b"digits@1.0.0")
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), F32, IMAGE.tobytes()))
    script.call("compute", 0)
    at, written = script.output(40)
    ran = script.run(tmp_path, litert, models=(spec,))
    assert ran.errnos == [0] * 5
    assert ran.u32(written) == 40
    values = np.clip(np.round(IMAGE / 0.003921568859368563) - 128, -128, 127).astype(np.int8)
    expected = (reference("digits_int8", values)[0][0].astype(np.float32) + 128) * 0.00390625
    np.testing.assert_allclose(ran.floats(at, 10), expected, atol=0.0040)


def test_values_beyond_the_scale_are_clipped_and_nan_is_zero(tmp_path: Path, litert: dict[str, Any]) -> None:
    spec = ModelSpec("digits", str(MODELS / "digits_int8.tflite"), int8="quantize-f32")
    wild = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 3.4e38, 0, 1] * 8, np.float32)
    script = Script()
    script.load_by_name(b"digits")
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), F32, wild.tobytes()))
    script.call("compute", 0)
    at, _ = script.output(40)
    ran = script.run(tmp_path, litert, models=(spec,))
    assert ran.errnos == [0] * 5
    values = np.array([127, -128, -128, 127, -128, 127, -128, 127] * 8, np.int8).reshape(1, 8, 8, 1)
    expected = (reference("digits_int8", values)[0][0].astype(np.float32) + 128) * 0.00390625
    np.testing.assert_allclose(ran.floats(at, 10), expected, atol=1e-6)


def test_named_models_are_found_by_name_and_by_name_with_version(tmp_path: Path, litert: dict[str, Any]) -> None:
    spec = ModelSpec("digits", str(MODELS / "digits_f32.tflite"), "1.2.0")
    script = Script()
    for name in (b"digits", b"digits@1.2.0", b"digits@1.3.0", b"digit", b"", b"\xff\xfe", b"digits\0"):
        script.load_by_name(name)
    config = script.put(b'{"threads": 1}')
    script.call("load_by_name_with_config", script.put(b"digits"), 6, config, 14, script.put(b"...."))
    ran = script.run(tmp_path, litert, models=(spec,))
    assert ran.errnos == [0, 0, 8, 8, 8, 8, 8, 0]
    assert "digits@1.3.0" in ran.logs()


def test_a_named_model_of_another_encoding_or_target_is_refused_with_the_reason(
    tmp_path: Path, litert: dict[str, Any]
) -> None:
    path = str(MODELS / "digits_f32.tflite")
    script = Script()
    script.load_by_name(b"a")
    script.load_by_name(b"b")
    models = (ModelSpec("a", path, encoding="onnx"), ModelSpec("b", path, target="gpu"))
    ran = script.run(tmp_path, litert, models=models)
    assert ran.errnos == [5, 5]
    assert "encoding onnx" in ran.logs()
    assert "target gpu" in ran.logs()


def test_memory_that_grows_and_moves_is_noticed(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("x_f32"))
    script.init()
    tensor = script.tensor((1, 4), F32, struct.pack("<4f", 1, 2, 3, 4))
    places = []
    for pages in (0, 1, 200):
        script.grow(pages)
        script.call("set_input", 0, 0, tensor)
        script.call("compute", 0)
        places.append(script.output(16)[0])
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 9, 0, 0, 0]
    for at in places:
        assert ran.floats(at, 4) == (2, 3, 4, 5)


def test_compute_before_set_input_runs_on_zeros(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("digits_f32"))
    script.init()
    script.call("compute", 0)
    at, _ = script.output(40)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0] * 4
    np.testing.assert_allclose(ran.floats(at, 10), reference("digits_f32", IMAGE * 0)[0][0], rtol=1e-6)


def test_figures_are_reported(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("digits_f32"))
    script.init()
    for _ in range(5):
        script.call("compute", 0)
    ran = script.run(tmp_path, litert)
    metric = dict(ran.result.metrics)
    assert metric["inferences"] == 5
    assert metric["calls"] == 7
    for key in ("load_ms", "init_ms", "first_ms", "median_ms", "p95_ms", "peak_memory_bytes"):
        assert metric[key] > 0
    assert "wasmtime" in metric["runtime"]
    assert "ai-edge-litert" in metric["runtime"]


def test_an_output_that_data_left_empty_has_no_bytes(tmp_path: Path) -> None:
    from lading import profiles
    from tests.support.dynamic_models import where

    script = Script(functions=SIX)
    script.load(where(16))
    script.init()
    script.call("compute", 0)
    _, written = script.output(8)
    ran = script.run(tmp_path, profiles.find("wasmedge-0.17").resolved())
    assert ran.errnos == [0] * 4
    assert ran.u32(written) == 0
