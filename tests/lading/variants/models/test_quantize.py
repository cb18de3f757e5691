"""int8 models of float models: what comes out, what is told about it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lading.errors import ModelError, NotQuantizable, UsageError
from lading.tflite import read_model
from lading.variants.models.prepare import prepared, with_codes, with_f32_weights, with_signature
from lading.variants.models.quantize import MODES, quantize
from lading.variants.models.retype import retype
from lading.variants.models.samples import Calibration, calibration
from lading.variants.models.versions import version, with_versions
from tests.support.edge_models import Maker, through
from tests.support.inference import infer, random_feed
from tests.support.quantizers import needs_quantizer

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
MODELS = ROOT / "tests" / "data" / "models"
DIGITS = ROOT / "examples" / "digits"
DIGITS_F32 = (MODELS / "digits_f32.tflite").read_bytes()


@pytest.fixture(autouse=True)
def _quantizer() -> None:
    needs_quantizer()


def images(count: int) -> Calibration:
    random = np.random.default_rng(3)
    return Calibration(tuple((random.random((1, 8, 8, 1)).astype(np.float32),) for _ in range(count)))


def sines(count: int = 50) -> Calibration:
    return Calibration(tuple((np.array([[x]], np.float32),) for x in np.linspace(0, 6.28, count)))


def test_int8_is_integer_throughout_and_close_to_the_float_model() -> None:
    made = quantize(DIGITS_F32, "int8", images(20))
    after = read_model(made.data)
    assert {t.dtype for t in (*after.main.input_tensors, *after.main.output_tensors)} == {"int8"}
    assert made.report.left_float == ()
    assert made.report.bytes_after < made.report.bytes_before / 2
    (error,) = made.report.outputs
    assert error.name == read_model(DIGITS_F32).signatures[0].outputs[0].name
    assert error.mean <= error.largest
    assert error.steps is not None
    assert error.steps < 40
    assert "ai-edge-quantizer" in made.report.engine
    assert after.signatures[0].key == "serving_default"


def test_dynamic_range_keeps_float_ends_and_needs_no_samples() -> None:
    made = quantize(DIGITS_F32, "dynamic-range")
    after = read_model(made.data)
    assert {t.dtype for t in (*after.main.input_tensors, *after.main.output_tensors)} == {"float32"}
    assert any(t.dtype == "int8" and t.is_constant for t in after.main.tensors)
    assert made.report.outputs == ()
    assert made.report.samples == 0


@pytest.mark.parametrize("mode", MODES)
def test_the_same_model_and_samples_give_the_same_bytes(mode: str) -> None:
    assert quantize(DIGITS_F32, mode, images(3)).data == quantize(DIGITS_F32, mode, images(3)).data


def test_ranges_are_all_that_was_met_however_small_a_sample_is() -> None:
    """One number a sample: an average over samples would cut off most of what the model computes."""
    model = (MODELS / "hello_world_float.tflite").read_bytes()
    (error,) = quantize(model, "int8", sines()).report.outputs
    assert error.largest < 0.1


def test_operator_versions_say_what_the_operators_compute() -> None:
    static = quantize(DIGITS_F32, "int8", images(3)).report.operators_after
    assert static["CONV_2D v3"] == 2
    assert static["FULLY_CONNECTED v4"] == 1
    dynamic = quantize(DIGITS_F32, "dynamic-range").report.operators_after
    assert dynamic["CONV_2D v5"] == 2
    assert dynamic["FULLY_CONNECTED v3"] == 1, "one scale a tensor, which runtimes in the field know"


def test_a_quantized_model_can_be_retyped() -> None:
    made = quantize(DIGITS_F32, "int8", images(5)).data
    floats = retype(made, inputs="float32", outputs="float32").data
    image = images(1).samples[0]
    assert infer(floats, [image])[0][0].argmax() == infer(DIGITS_F32, [image])[0][0].argmax()


def test_a_model_without_a_signature_is_quantized_too() -> None:
    maker = Maker()
    x, y = maker.tensor("x", "float32"), maker.tensor("y", "float32")
    maker.operator("RELU", [x], [y])
    model = maker.build([x], [y])
    random = np.random.default_rng(1)
    samples = Calibration(tuple((random.standard_normal((1, 4)).astype(np.float32),) for _ in range(9)))
    report = quantize(model, "int8", samples).report
    assert report.operators_after == {"RELU v2": 1}


def test_golden_vectors_of_a_project_calibrate_and_judge() -> None:
    model = (DIGITS / "models" / "digits_f32.tflite").read_bytes()
    samples = calibration(DIGITS, model)
    assert samples.samples[0][0].dtype == np.float32, "the project's model is int8: its vector is taken as real numbers"
    report = quantize(model, "int8", samples).report
    assert report.golden_before is not None
    assert report.golden_after is not None
    assert (report.golden_before.vectors, report.golden_before.same_largest) == (1, 1)
    assert report.golden_after.same_largest == 1
    assert report.golden_after.largest < 0.1


# --- a folder of .npy files ----------------------------------------------------------------------------------------


def two_inputs() -> bytes:
    maker = Maker()
    a, b, y = (maker.tensor(n, "float32") for n in "aby")
    maker.operator("ADD", [a, b], [y])
    return maker.build([a, b], [y])


def save(path: Path, *shape: int, dtype: Any = np.float32) -> None:
    path.parent.mkdir(exist_ok=True)
    np.save(path, np.ones(shape, dtype))


def save_both(folder: Path, first: int, second: int) -> None:
    save(folder / "a.npy", first, 4)
    save(folder / "b.npy", second, 4)


def test_a_folder_holds_samples_or_stacks_of_them(tmp_path: Path) -> None:
    model = through("float32")
    save(tmp_path / "1.npy", 1, 4)
    save(tmp_path / "2.npy", 5, 1, 4)
    save(tmp_path / "3.npy", 7, 4)
    found = calibration(tmp_path, model)
    assert len(found.samples) == 13
    assert {s[0].shape for s in found.samples} == {(1, 4)}


def test_several_inputs_have_a_folder_or_a_stack_each(tmp_path: Path) -> None:
    save(tmp_path / "a.npy", 3, 1, 4)
    for number in range(3):
        save(tmp_path / "b" / f"{number}.npy", 1, 4)
    assert len(calibration(tmp_path, two_inputs()).samples) == 3


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda folder: None, "no samples of input 'a'"),
        (lambda folder: save(folder / "a.npy", 1, 4), "no samples of input 'b'"),
        (lambda folder: save_both(folder, 3, 2), "3 of 'a', 2 of 'b'"),
        (lambda folder: save(folder / "a.npy", 1, 5), r"a.npy is float32 \[1, 5\]"),
        (lambda folder: save(folder / "a.npy", 1, 4, dtype=np.float64), r"a.npy is float64"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path, prepare: Callable[[Path], None], words: str) -> None:
    prepare(tmp_path)
    with pytest.raises(UsageError, match=words) as caught:
        calibration(tmp_path, two_inputs())
    assert caught.value.remedy


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        calibration(tmp_path / "none", through("float32"))


# --- refusals ------------------------------------------------------------------------------------------------------


def test_what_is_quantized_already_is_refused() -> None:
    with pytest.raises(NotQuantizable, match="is quantized"):
        quantize((MODELS / "digits_int8.tflite").read_bytes(), "int8", images(1))


def test_int8_without_samples_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="needs inputs"):
        quantize(DIGITS_F32, "int8")


def test_an_unknown_mode_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="'int4' is not a mode"):
        quantize(DIGITS_F32, "int4")


def test_a_model_without_weights_of_any_kind_is_said_so() -> None:
    with pytest.raises(NotQuantizable, match="finds nothing") as caught:
        quantize(through("float32"), "dynamic-range")
    assert caught.value.remedy


def test_no_model_is_refused_before_anything_runs() -> None:
    with pytest.raises(ModelError):
        quantize(b"no model", "dynamic-range")


def test_a_model_that_the_quantizer_does_not_take_ends_with_its_words() -> None:
    from tests.support.made_models import fully_connected, with_custom_operator

    model = with_custom_operator(fully_connected(1, 4))
    samples = Calibration(((np.ones((1, 4), np.float32),),))
    with pytest.raises(NotQuantizable, match="cannot be quantized"):
        quantize(model, "int8", samples)


def test_too_little_time_is_said() -> None:
    with pytest.raises(NotQuantizable, match=r"within 0\.05 s"):
        quantize(DIGITS_F32, "dynamic-range", timeout_s=0.05)


# --- what is made ready for the quantizer ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", [MODELS / "digits_f16.tflite", ROOT / "examples/stream/models/shiplog.tflite"])
def test_float16_weights_become_f32_and_the_model_computes_the_same(path: Path) -> None:
    before = path.read_bytes()
    after = with_f32_weights(before)
    old, new = read_model(before).main, read_model(after).main
    assert not any(t.dtype == "float16" for t in new.tensors)
    assert len(new.operators) == len(old.operators) - sum(t.dtype == "float16" for t in old.tensors)
    feed = [array if array.dtype.kind == "f" else array * 0 for array in random_feed(old.input_tensors, 2)]
    for ours, theirs in zip(
        infer(before, [feed], delegates=False)[0], infer(after, [feed], delegates=False)[0], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_models_of_float16_weights_are_quantized_and_get_smaller() -> None:
    before = (ROOT / "examples/stream/models/shiplog.tflite").read_bytes()
    report = quantize(before, "dynamic-range").report
    assert report.bytes_after < report.bytes_before
    assert report.left_float == ("GATHER",), "its table"


def test_operators_named_the_old_way_are_not_taken_for_others() -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(DIGITS_F32, 0))
    for code in model.operatorCodes:
        code.builtinCode = 0
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    old = bytes(builder.Output())
    assert with_codes(DIGITS_F32) == DIGITS_F32
    assert read_model(with_codes(old)).main == read_model(old).main
    assert quantize(old, "dynamic-range").report.operators_after["CONV_2D v5"] == 2


def test_a_model_that_is_ready_stays_as_it_is() -> None:
    assert prepared(DIGITS_F32) == DIGITS_F32


# --- versions, against models that TensorFlow's converter wrote ------------------------------------------------------


@pytest.mark.parametrize("name", ["digits_int8", "digits_dyn", "hello_world_int8", "simple_add_model"])
def test_versions_are_those_of_the_converter(name: str) -> None:
    model = read_model((MODELS / f"{name}.tflite").read_bytes())
    needed: dict[str, int] = {}
    for operator in model.main.operators:
        wanted = version(operator, model.main)
        assert wanted <= operator.key.version, operator
        needed[operator.key.name] = max(needed.get(operator.key.name, 1), wanted)
    for kind in ("CONV_2D", "SOFTMAX", "MAX_POOL_2D", "ADD", "FULLY_CONNECTED"):
        if kind in needed:
            assert needed[kind] == max(op.key.version for op in model.main.operators if op.key.name == kind)


def test_versions_and_signatures_that_are_there_stay() -> None:
    for path in MODELS.glob("digits_*.tflite"):
        data = path.read_bytes()
        assert with_signature(data) == data
        if path.name != "digits_int16x8.tflite":
            assert with_versions(data) == data
