"""Models with other types at their ends compute what they computed before."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lading.errors import ModelError, NotRetypable
from lading.tflite import read_model
from lading.variants.models.prepare import prepared
from lading.variants.models.retype import Retyped, possible, retype
from lading.variants.models.versions import with_versions
from tests.support.edge_models import STEPS, Maker, external, through
from tests.support.inference import converted, infer, levels, random_feed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.tflite.model import Tensor

ROOT = Path(__file__).parents[4]
SHARED = ROOT.parent / "shared" / "models"
FILES = {
    str(path.relative_to(ROOT.parent)): path
    for folder in (SHARED, ROOT / "tests" / "data" / "models", *(ROOT / "examples").glob("*/models"))
    for path in sorted(folder.glob("*.tflite"))
}
TYPES = ("float32", "int8", "uint8")
INTEGERS = ("int8", "uint8")


def directions() -> list[tuple[str, str | None, str | None]]:
    """Every model with every pair of types that its two sides can have."""
    found = []
    for name, path in FILES.items():
        can = possible(path.read_bytes())
        sides = [[None, *(t for t, d in side.items() if d.changes)] for side in (can.inputs, can.outputs)]
        found += [(name, i, o) for i, o in itertools.product(*sides) if i or o]
    return found


def steps(tensor: Tensor) -> tuple[float, int]:
    assert tensor.quantization is not None
    return tensor.quantization.scales[0], tensor.quantization.zero_points[0]


def assert_same(before: bytes, after: bytes, *, delegates: bool, seeds: int = 4) -> None:
    """Integers come out bit for bit, floats within half a step, whatever goes in."""
    old, new = read_model(before).main, read_model(after).main
    feeds = [random_feed(old.input_tensors, seed) for seed in range(seeds)]
    # What is written as integers at one of the two is the common ground; feeds are integers wherever one side has them.
    ours, theirs = [], []
    for feed in feeds:
        pairs = [fed(a, b, array) for a, b, array in zip(old.input_tensors, new.input_tensors, feed, strict=True)]
        ours.append([a for a, _ in pairs])
        theirs.append([b for _, b in pairs])
    expected, got = infer(before, ours, delegates=delegates), infer(after, theirs, delegates=delegates)
    for row, other in zip(expected, got, strict=True):
        for a, b, y, z in zip(old.output_tensors, new.output_tensors, row, other, strict=True):
            assert z.dtype == b.dtype
            if a.dtype in INTEGERS and b.dtype in INTEGERS:
                np.testing.assert_array_equal(z, converted(y, b.dtype, *steps(a)))
            elif a.dtype == b.dtype:
                np.testing.assert_array_equal(z, y)
            else:
                tensor, integers, floats = (a, y, z) if a.dtype in INTEGERS else (b, z, y)
                scale, zero_point = steps(tensor)
                np.testing.assert_array_equal(levels(floats, tensor.dtype, scale, zero_point), integers)
                real = converted(integers, "float32", scale, zero_point)
                assert np.abs(real - floats).max(initial=0) <= scale / 2


def fed(old: Tensor, new: Tensor, array: Any) -> tuple[Any, Any]:
    """One input for both models: the same numbers as each of them writes them."""
    if old.dtype == new.dtype:
        return array, array
    if old.dtype in INTEGERS:
        return array, converted(array, new.dtype, *steps(old))
    integers = random_feed([new], int(abs(float(array.flat[0])) * 1000))[0]
    return converted(integers, "float32", *steps(new)), integers


@pytest.mark.parametrize(("name", "inputs", "outputs"), directions())
def test_every_model_computes_the_same_in_every_direction(name: str, inputs: str | None, outputs: str | None) -> None:
    before = FILES[name].read_bytes()
    made = retype(before, inputs=inputs, outputs=outputs)
    for delegates in (True, False):
        assert_same(before, made.data, delegates=delegates)
    old, new = read_model(before), read_model(made.data)
    assert [t.name for t in new.main.input_tensors] == [t.name for t in old.main.input_tensors]
    assert [t.name for t in new.main.output_tensors] == [t.name for t in old.main.output_tensors]
    assert [t.shape_signature for t in new.main.input_tensors] == [t.shape_signature for t in old.main.input_tensors]
    assert new.metadata == old.metadata
    assert new.description == old.description
    assert [(s.key, [e.name for e in s.inputs]) for s in new.signatures] == [
        (s.key, [e.name for e in s.inputs]) for s in old.signatures
    ]
    for signature in new.signatures:
        assert {e.tensor for e in signature.inputs} <= set(new.main.inputs)
        assert {e.tensor for e in signature.outputs} <= set(new.main.outputs)
    names = [t.name for t in new.main.tensors]
    assert len(set(names)) == len(names) or len({t.name for t in old.main.tensors}) < len(old.main.tensors)


@pytest.mark.parametrize("name", [n for n in FILES if "int8" in n or "uint8" in n or "quantized" in n])
def test_there_and_back_computes_the_same_with_as_many_tensors_and_operators(name: str) -> None:
    before = FILES[name].read_bytes()
    main = read_model(before).main
    types = {t.dtype for t in (*main.input_tensors, *main.output_tensors)}
    if not types <= {"int8", "uint8"}:
        pytest.skip("its ends are of other types")
    for want in TYPES:
        there = retype(before, inputs=want, outputs=want).data
        back = retype(there, inputs=main.input_tensors[0].dtype, outputs=main.output_tensors[0].dtype).data
        assert_same(before, back, delegates=True)
        again = read_model(back)
        assert len(again.main.tensors) == len(main.tensors)
        assert again.operators == read_model(before).operators
        assert set(again.operator_codes) == set(read_model(before).operator_codes)


def test_shared_models_are_there() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED.name} with models by others beside the repository")
    assert sum(name.startswith("shared/") for name in FILES) >= 5


def test_the_same_model_gives_the_same_bytes() -> None:
    data = (ROOT / "tests/data/models/digits_int8.tflite").read_bytes()
    assert retype(data, inputs="float32").data == retype(data, inputs="float32").data


def test_what_is_so_already_stays_as_it_is() -> None:
    data = through()
    assert retype(data, inputs="int8", outputs="int8") == Retyped(data, ())
    assert retype(data) == Retyped(data, ())


def test_changes_tell_tensor_types_and_steps() -> None:
    changes = retype(through(), inputs="float32", outputs="uint8").changes
    assert [(c.tensor, c.direction, c.index, c.before, c.after, c.zero_point) for c in changes] == [
        ("x", "input", 0, "int8", "float32", STEPS[1]),
        ("y", "output", 0, "int8", "uint8", STEPS[1] + 128),
    ]
    assert [c.scale for c in changes] == pytest.approx([STEPS[0]] * 2)


def test_weights_keep_their_bytes_and_their_alignment() -> None:
    before = (ROOT / "tests/data/models/digits_int8.tflite").read_bytes()
    after = retype(before, inputs="float32", outputs="float32").data
    assert after.endswith(before)
    assert (len(after) - len(before)) % 64 == 0


def test_data_behind_the_flatbuffer_are_found_again() -> None:
    before = external((ROOT / "tests/data/models/digits_int8.tflite").read_bytes())
    assert_same(before, retype(before, inputs="float32", outputs="uint8").data, delegates=True)


def test_operator_versions_are_those_that_the_converter_writes() -> None:
    for dtype, version in (("int8", 2), ("uint8", 1)):
        made = read_model(retype(through(dtype), inputs="float32", outputs="float32").data)
        assert {(k.name, k.version) for k in made.operators} == {
            ("QUANTIZE", 1),
            ("RELU", 2),
            ("DEQUANTIZE", version),
        }


@pytest.mark.parametrize(("said", "told"), [("1.5.0", "1.14.0"), ("1.14.0", "1.14.0"), ("2.3.0", "2.3.0"), ("?", "?")])
def test_the_oldest_runtime_is_corrected_where_the_model_names_an_older_one(said: str, told: str) -> None:
    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    maker.metadata = [("min_runtime_version", said.encode().ljust(16, b"\0"))]
    assert read_model(retype(maker.build([x], [y]), inputs="float32").data).min_runtime_version == told


# --- ends that are used in more than one way ---------------------------------------------------------------------


def _input_of_two_operators() -> bytes:
    maker = Maker()
    x, y, z = (maker.tensor(n) for n in "xyz")
    maker.operator("RELU", [x], [y])
    maker.operator("RELU", [x], [z])
    return maker.build([x], [y, z], signatures=[maker.signature({"a": x}, {"p": y, "q": z})])


def _output_that_feeds_another() -> bytes:
    maker = Maker()
    x, y, z = (maker.tensor(n) for n in "xyz")
    maker.operator("RELU", [x], [y])
    maker.operator("RELU", [y], [z])
    return maker.build([x], [y, z])


def _one_output_at_two_places() -> bytes:
    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    return maker.build([x], [y, y], signatures=[maker.signature({"a": x}, {"p": y, "q": y})])


def _input_that_nobody_reads() -> bytes:
    maker = Maker()
    x, unused, y = maker.tensor("x"), maker.tensor("unused"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    return maker.build([x, unused], [y])


def _names_taken() -> bytes:
    maker = Maker()
    x, taken, y = maker.tensor("x"), maker.tensor("x_int8"), maker.tensor("y")
    maker.operator("RELU", [x], [taken])
    maker.operator("RELU", [taken], [y])
    return maker.build([x], [y])


def _weights_only() -> bytes:
    """int8 at the ends, float between."""
    maker = Maker()
    x, inside, out, y = maker.tensor("x"), maker.tensor("i", "float32"), maker.tensor("o", "float32"), maker.tensor("y")
    maker.operator("DEQUANTIZE", [x], [inside])
    maker.operator("RELU", [inside], [out])
    maker.operator("QUANTIZE", [out], [y])
    return maker.build([x], [y])


def _other_steps() -> bytes:
    """uint8 at the ends, whose steps are not those of the int8 inside."""
    maker = Maker()
    x, a = maker.tensor("x", "uint8", steps=(0.02, 7)), maker.tensor("a")
    b, y = maker.tensor("b"), maker.tensor("y", "uint8", steps=(0.11, 60))
    maker.operator("QUANTIZE", [x], [a])
    maker.operator("RELU", [a], [b])
    maker.operator("QUANTIZE", [b], [y])
    return maker.build([x], [y])


def _inner_is_an_output_too() -> bytes:
    maker = Maker()
    x, a, y = maker.tensor("x", "uint8"), maker.tensor("a"), maker.tensor("y")
    maker.operator("QUANTIZE", [x], [a])
    maker.operator("RELU", [a], [y])
    return maker.build([x], [a, y])


def _with_counts() -> bytes:
    """An int8 input beside one of i32."""
    maker = Maker()
    x, n, y, m = maker.tensor("x"), maker.tensor("n", "int32"), maker.tensor("y"), maker.tensor("m", "int32")
    maker.operator("RELU", [x], [y])
    maker.operator("ADD", [n, n], [m])
    return maker.build([n, x], [m, y])


def _dynamic() -> bytes:
    maker = Maker()
    ends = [maker.tensor(n, signature=(-1, 4)) for n in "xy"]
    maker.operator("RELU", ends[:1], ends[1:])
    return maker.build(ends[:1], ends[1:])


def _two_subgraphs() -> bytes:
    maker = Maker()
    p, q = maker.tensor("p"), maker.tensor("q")
    maker.operator("RELU", [p], [q])
    maker.extra = [maker.graph([p], [q], "other")]
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    signatures = [maker.signature({"a": x}, {"b": y}), maker.signature({"c": p}, {"d": q}, subgraph=1, key="t")]
    return maker.build([x], [y], signatures=signatures)


def _float_read_twice() -> bytes:
    """f32 that two QUANTIZE make int8 of, by the same steps."""
    maker = Maker()
    x, a, b, y = maker.tensor("x", "float32"), maker.tensor("a"), maker.tensor("b"), maker.tensor("y")
    z, out = maker.tensor("z"), maker.tensor("out", "float32")
    maker.operator("QUANTIZE", [x], [a])
    maker.operator("QUANTIZE", [x], [b])
    maker.operator("RELU", [a], [y])
    maker.operator("RELU", [b], [z])
    maker.operator("DEQUANTIZE", [z], [out])
    return maker.build([x], [y, out])


def _float_output_read_again() -> bytes:
    """f32 of a DEQUANTIZE that another operator computes with."""
    maker = Maker()
    x, a, b = maker.tensor("x"), maker.tensor("a"), maker.tensor("b", "float32")
    c, y = maker.tensor("c", "float32"), maker.tensor("y")
    maker.operator("RELU", [x], [a])
    maker.operator("DEQUANTIZE", [a], [b])
    maker.operator("RELU", [b], [c])
    maker.operator("QUANTIZE", [c], [y])
    return maker.build([x], [b, y])


ODD: tuple[Callable[[], bytes], ...] = (
    _input_of_two_operators,
    _output_that_feeds_another,
    _one_output_at_two_places,
    _input_that_nobody_reads,
    _names_taken,
    _weights_only,
    _other_steps,
    _inner_is_an_output_too,
    _with_counts,
    _dynamic,
    _two_subgraphs,
    _float_read_twice,
    _float_output_read_again,
)


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__.strip("_"))
@pytest.mark.parametrize("outputs", [None, *TYPES])
@pytest.mark.parametrize("inputs", [None, *TYPES])
def test_ends_used_in_several_ways_come_out_right(
    make: Callable[[], bytes], inputs: str | None, outputs: str | None
) -> None:
    before = make()
    made = retype(before, inputs=inputs, outputs=outputs).data
    assert_same(before, made, delegates=False)
    main = read_model(made).main
    names = [t.name for t in main.tensors]
    assert len(set(names)) == len(names)
    used = {i for op in main.operators for i in (*op.inputs, *op.outputs)} | {*main.inputs, *main.outputs}
    assert used == set(range(len(main.tensors))), "a tensor that nothing uses"
    assert all(t.dtype in {inputs or t.dtype, "int32"} for t in main.input_tensors)
    assert all(t.dtype in {outputs or t.dtype, "int32"} for t in main.output_tensors)


def test_a_conversion_that_is_there_is_used_instead_of_another() -> None:
    def kinds(data: bytes) -> list[str]:
        return [op.key.name for op in read_model(data).main.operators]

    maker = Maker()
    x, a, b, y = maker.tensor("x", "uint8"), maker.tensor("a"), maker.tensor("b"), maker.tensor("y", "uint8")
    maker.operator("QUANTIZE", [x], [a])
    maker.operator("RELU", [a], [b])
    maker.operator("QUANTIZE", [b], [y])
    before = maker.build([x], [y])
    assert kinds(retype(before, inputs="int8", outputs="int8").data) == ["RELU"]
    assert kinds(retype(before, inputs="float32", outputs="float32").data) == ["QUANTIZE", "RELU", "DEQUANTIZE"]
    floats = retype(before, inputs="float32", outputs="float32").data
    assert kinds(retype(floats, inputs="int8", outputs="int8").data) == ["RELU"]
    assert kinds(retype(floats, inputs="uint8", outputs="uint8").data) == ["QUANTIZE", "RELU", "QUANTIZE"]


def test_signatures_of_other_subgraphs_are_left_alone() -> None:
    made = read_model(retype(_two_subgraphs(), inputs="float32", outputs="float32").data)
    assert [t.dtype for t in made.subgraphs[1].input_tensors] == ["int8"]
    assert [(s.key, s.subgraph) for s in made.signatures] == [("s", 0), ("t", 1)]
    assert [e.tensor for e in made.signatures[0].inputs] == list(made.main.inputs)


# --- what is refused ----------------------------------------------------------------------------------------------


def _per_channel() -> bytes:
    return through(scales=(0.1, 0.2, 0.3, 0.4))


def _raw_bytes() -> bytes:
    maker = Maker()
    x, y = maker.raw("x", "int8"), maker.raw("y", "int8")
    maker.operator("RESHAPE", [x], [y])
    return maker.build([x], [y])


def _float_inside() -> bytes:
    return through("float32")


def _passed_through() -> bytes:
    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    return maker.build([x], [x, y])


def _variable() -> bytes:
    maker = Maker()
    x, y = maker.tensor("x", variable=True), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    return maker.build([x], [y])


def _planned() -> bytes:
    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    maker.metadata = [("OfflineMemoryAllocation", bytes(20))]
    return maker.build([x], [y])


def _constant_output() -> bytes:
    maker = Maker()
    x, y, z = maker.tensor("x"), maker.tensor("y"), maker.tensor("z", data=bytes(4))
    maker.operator("RELU", [x], [y])
    return maker.build([x], [y, z])


def _two_scales() -> bytes:
    maker = Maker()
    x, a, b = maker.tensor("x", "float32"), maker.tensor("a"), maker.tensor("b", steps=(0.1, 0))
    maker.operator("QUANTIZE", [x], [a])
    maker.operator("QUANTIZE", [x], [b])
    return maker.build([x], [a, b])


def _called_main() -> bytes:
    from ai_edge_litert import schema_py_generated as schema

    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y")
    maker.operator("RELU", [x], [y])
    main = maker.graph([x], [y])
    p, q = maker.tensor("p"), maker.tensor("q")
    loop = maker.operator("WHILE", [p], [q])
    loop.builtinOptionsType, loop.builtinOptions = schema.BuiltinOptions.WhileOptions, schema.WhileOptionsT()
    return maker.finish([main, maker.graph([p], [q], "other")])


@pytest.mark.parametrize(
    ("model", "asked", "words"),
    [
        (_per_channel, {"inputs": "float32"}, "input 'x' is quantized per channel"),
        (_raw_bytes, {"inputs": "uint8"}, "input 'x' has no scale"),
        (_float_inside, {"inputs": "int8"}, "input 'x' is computed with as float32 by RELU"),
        (_float_inside, {"outputs": "int8"}, "output 'y' is computed as float32 by RELU"),
        (_passed_through, {"inputs": "float32"}, "is input and output at once"),
        (_passed_through, {"outputs": "float32"}, "is input and output at once"),
        (_variable, {"inputs": "float32"}, "is a variable"),
        (_planned, {"inputs": "float32"}, "memory plan"),
        (_constant_output, {"outputs": "uint8"}, "output 'z' is a constant"),
        (_two_scales, {"inputs": "int8"}, "in 2 ways"),
        (_called_main, {"inputs": "float32"}, "calls the main subgraph"),
        (lambda: through("int16"), {"inputs": "float32"}, "is int16"),
        (lambda: through("int32"), {"inputs": "float32"}, "is int32"),
        (lambda: through(steps=(float("nan"), 0)), {"inputs": "float32"}, "has the scale nan"),
        (lambda: through(steps=(0.1, 500)), {"inputs": "uint8"}, "zero point 500"),
        (through, {"inputs": "float16"}, "'float16' is not a type"),
    ],
)
def test_what_cannot_be_kept_the_same_is_refused_with_the_reason(
    model: Callable[[], bytes], asked: dict[str, str], words: str
) -> None:
    with pytest.raises(NotRetypable, match=words) as caught:
        retype(model(), **asked)
    assert caught.value.remedy


def test_int8_and_uint8_do_not_disturb_a_memory_plan() -> None:
    maker = Maker()
    x, y = maker.tensor("x"), maker.tensor("y", "float32")
    maker.operator("DEQUANTIZE", [x], [y])
    maker.metadata = [("OfflineMemoryAllocation", bytes(20))]
    before = maker.build([x], [y])
    assert_same(before, retype(before, inputs="uint8").data, delegates=False)


def test_possible_says_what_retype_does() -> None:
    for make in (*ODD, _per_channel, _raw_bytes, _float_inside, _passed_through, _two_scales):
        data = make()
        can = possible(data)
        for side, asked in ((can.inputs, "inputs"), (can.outputs, "outputs")):
            for dtype, direction in side.items():
                if direction.possible:
                    assert retype(data, **{asked: dtype}).changes == direction.changes
                else:
                    with pytest.raises(NotRetypable) as caught:
                        retype(data, **{asked: dtype})
                    assert caught.value.message == direction.reason


def test_an_attempt_to_keep_a_machine_busy_is_refused() -> None:
    maker = Maker()
    ends = [maker.tensor(f"x{n}") for n in range(5000)]
    y = maker.tensor("y")
    maker.operator("RELU", ends[:1], [y])
    with pytest.raises(NotRetypable, match="5000 inputs"):
        retype(maker.build(ends, [y]), inputs="uint8")


# --- hostile files -------------------------------------------------------------------------------------------------

_SAMPLES: Sequence[bytes] = (
    (ROOT / "examples/digits/models/digits_float16.tflite").read_bytes(),
    through(),
    _two_subgraphs(),
    _other_steps(),
    (ROOT / "tests/data/models/simple_add_model.tflite").read_bytes(),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(_SAMPLES), st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=6), st.data()
)
def test_a_damaged_file_is_refused_or_still_a_model(
    sample: bytes, pokes: list[tuple[int, int]], data: st.DataObject
) -> None:
    damaged = bytearray(sample)
    for at, value in pokes:
        damaged[at % len(damaged)] = value
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))]) if data.draw(st.booleans()) else bytes(damaged)
    asked = {
        "inputs": data.draw(st.sampled_from([None, *TYPES])),
        "outputs": data.draw(st.sampled_from([None, *TYPES])),
    }
    refusal: ModelError | NotRetypable | None = None
    try:
        possible(cut)
        read_model(with_versions(prepared(cut)))
        read_model(retype(cut, **asked).data)
    except (ModelError, NotRetypable) as error:
        refusal = error
    assert refusal is None or (refusal.message and refusal.remedy)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(2**-10, 10, width=32),
    st.integers(-128, 127),
    st.lists(st.integers(-128, 127), min_size=4, max_size=4),
    st.sampled_from(TYPES),
    st.sampled_from(TYPES),
)
def test_any_steps_and_levels_come_out_the_same(
    scale: float, zero_point: int, numbers: list[int], inputs: str, outputs: str
) -> None:
    before = through(steps=(scale, zero_point))
    made = retype(before, inputs=inputs, outputs=outputs).data
    feed = np.array([numbers], np.int8)
    tensor = read_model(before).main.input_tensors[0]
    expected = infer(before, [[feed]], delegates=False)[0][0]
    got = infer(made, [[converted(feed, inputs, *steps(tensor))]], delegates=False)[0][0]
    if outputs == "float32":
        np.testing.assert_array_equal(levels(got, "int8", *steps(tensor)), expected)
    else:
        np.testing.assert_array_equal(got, converted(expected, outputs, *steps(tensor)))
