"""Reading models: what is in good ones, and that bad ones are refused."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lading.errors import ModelError
from lading.tflite import estimate_memory, memory, read_model
from lading.tflite.model import OperatorKey

MODELS = Path(__file__).parents[2] / "data" / "models"
SHARED = Path(__file__).parents[4] / "shared" / "models"

FILES = {path.name: path.read_bytes() for path in sorted(MODELS.glob("*.tflite"))}


def test_tensors_of_a_quantized_model_carry_type_shape_and_quantization() -> None:
    model = read_model(MODELS / "digits_int8.tflite")
    (image,) = model.main.input_tensors
    (scores,) = model.main.output_tensors
    assert (image.dtype, image.shape, image.shape_signature) == ("int8", (1, 8, 8, 1), (-1, 8, 8, 1))
    assert image.quantization is not None
    assert not image.quantization.per_channel
    assert (scores.dtype, scores.shape[-1]) == ("int8", 10)
    assert scores.quantization is not None
    assert scores.quantization.scales == (1 / 256,)
    assert scores.quantization.zero_points == (-128,)
    assert any(t.quantization and t.quantization.per_channel for t in model.main.tensors)


def test_operators_are_counted_by_name_and_version() -> None:
    assert read_model(MODELS / "digits_dyn.tflite").operators == {
        OperatorKey("CONV_2D", 5, custom=False): 2,
        OperatorKey("FULLY_CONNECTED", 12, custom=False): 1,
        OperatorKey("PACK", 1, custom=False): 1,
        OperatorKey("RESHAPE", 1, custom=False): 1,
        OperatorKey("SHAPE", 1, custom=False): 1,
        OperatorKey("SOFTMAX", 1, custom=False): 1,
        OperatorKey("STRIDED_SLICE", 1, custom=False): 1,
    }


def test_signatures_name_inputs_and_outputs() -> None:
    model = read_model(MODELS / "x_two_in.tflite")
    (signature,) = model.signatures
    assert signature.key == "serving_default"
    assert {end.tensor for end in signature.inputs} == set(model.main.inputs)
    assert {end.tensor for end in signature.outputs} == set(model.main.outputs)


def test_variables_and_the_converters_runtime_version_are_seen() -> None:
    model = read_model(MODELS / "trained_lstm_int8.tflite")
    assert sum(t.is_variable for t in model.main.tensors) == 2
    assert model.min_runtime_version == "1.14.0"
    assert estimate_memory(model).state_bytes > 0


@pytest.mark.parametrize("name", FILES)
def test_the_interpreter_sees_the_same_tensors(name: str) -> None:
    model = read_model(FILES[name])
    interpreter = opened(FILES[name])
    for details, tensors in (
        (interpreter.get_input_details(), model.main.input_tensors),
        (interpreter.get_output_details(), model.main.output_tensors),
    ):
        for told, ours in zip(details, tensors, strict=True):
            assert told["name"] == ours.name
            assert told["index"] == ours.index
            assert told["dtype"].__name__.rstrip("_") == ours.dtype
            assert tuple(told["shape_signature"]) == ours.shape_signature
            scales = ours.quantization.scales if ours.quantization else ()
            assert tuple(told["quantization_parameters"]["scales"]) == pytest.approx(scales)


@pytest.mark.parametrize("name", [n for n in FILES if not n.startswith("digits_") and n != "x_dynbatch.tflite"])
def test_the_arena_is_as_large_as_the_interpreters_own_within_5_percent_or_256_bytes(name: str) -> None:
    """The digits models keep some tensors on the heap: their shapes are computed, so they lie in no arena."""
    model = read_model(FILES[name])
    interpreter = opened(FILES[name])
    interpreter.invoke()
    placed = []
    constant = {t.index for t in model.main.tensors if t.is_constant}
    for told in interpreter.get_tensor_details():
        if told["index"] not in constant:
            array = interpreter.tensor(told["index"])()
            begin = array.__array_interface__["data"][0]
            if array.nbytes:
                placed.append((begin, begin + array.nbytes))
    assert estimate_memory(model).arena_bytes == pytest.approx(spanned(placed), rel=0.05, abs=256)


def spanned(placed: list[tuple[int, int]]) -> int:
    """Bytes from the first to the last tensor; variables have an arena of their own, somewhere else in memory."""
    total, begin, end = 0, *min(placed)
    for first, last in sorted(placed):
        if first > end + 2048:
            total, begin = total + end - begin, first
        end = max(end, last)
    return total + end - begin


def opened(data: bytes):  # type: ignore[no-untyped-def]
    """An interpreter of the engine's own kernels, without a delegate that would take tensors away."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    interpreter.allocate_tensors()
    return interpreter


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_a_plan_holds_what_is_alive_and_no_more_than_everything(tensors: list[tuple[int, int, int]]) -> None:
    spans = [memory._Span(i, size, min(a, b), max(a, b)) for i, (size, a, b) in enumerate(tensors)]
    planned = memory._plan(spans, 16)
    everything = sum(-(-span.size // 16) * 16 for span in spans)
    assert memory._most_alive(spans, 16) <= planned <= everything


def test_models_made_elsewhere_are_read() -> None:
    if not SHARED.is_dir():
        pytest.skip("there is no ../shared/models beside the repository")
    for path in SHARED.glob("*.tflite"):
        model = read_model(path)
        assert model.operators
        assert estimate_memory(model).arena_bytes > 0


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"TFL3", "not a TFLite model"),
        (b"\x08\x07\x12\x04onnx", "looks like perhaps an ONNX model"),
        (b"PK\x03\x04 keras", "looks like a zip archive"),
        (b"\x10\0\0\0TFL3", "past the end"),
        (b"\xff\xff\xff\xffTFL3" + bytes(64), "past the end"),
        (b"\x08\0\0\0TFL3" + bytes(64), "layout"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(data: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_model(data)
    assert words in caught.value.message
    assert caught.value.remedy


def test_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "junk.tflite").write_bytes(b"junk")
    for name in ("junk.tflite", "gone.tflite"):
        with pytest.raises(ModelError, match=name):
            read_model(tmp_path / name)


def test_a_small_file_that_stands_for_a_huge_model_is_refused() -> None:
    """Every one of many offsets leads to the same subgraph, whose tensors are all the same tensor, and so on."""
    count = 4000
    blob = bytearray(b"\0\0\0\0TFL3")
    blob += struct.pack("<HHHHHH", 10, 12, 4, 0, 8, 0)
    model = len(blob)
    struct.pack_into("<I", blob, 0, model)
    blob += struct.pack("<iII", 12, 3, 4)
    blob += struct.pack("<I", count)
    first = len(blob)
    graph_vtable = first + 4 * count
    graph = graph_vtable + 8
    for n in range(count):
        blob += struct.pack("<I", graph - (first + 4 * n))
    blob += struct.pack("<HHHH", 6, 8, 4, 0)
    blob += struct.pack("<iI", 8, 4)
    blob += struct.pack("<I", count)
    first = len(blob)
    tensor = first + 4 * count + 4
    for n in range(count):
        blob += struct.pack("<I", tensor - (first + 4 * n))
    blob += struct.pack("<HHi", 4, 4, 4)
    with pytest.raises(ModelError, match="more is referred to"):
        read_model(bytes(blob))


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_model_is_refused_or_read(name: str) -> None:
    data = FILES[name]
    for size in sorted({*range(0, min(len(data), 600), 7), *range(0, len(data), max(1, len(data) // 60))}):
        outcome(data[:size])


@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32), st.integers(1, 6))
def test_a_mutated_model_is_refused_or_read(name: str, seed: int, changes: int) -> None:
    dice = random.Random(seed)
    data = bytearray(FILES[name])
    for _ in range(changes):
        kind = dice.randrange(4)
        at = dice.randrange(len(data) - 4)
        if kind == 0:
            data[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            struct.pack_into("<I", data, at & ~3, dice.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data)]))
        elif kind == 2:
            data[at] = dice.randrange(256)
        else:
            struct.pack_into("<i", data, at & ~3, dice.randrange(-64, 65))
    outcome(bytes(data))


@given(st.binary(max_size=400))
def test_any_bytes_behind_the_identifier_are_refused_or_read(tail: bytes) -> None:
    outcome(struct.pack("<I", 8 + len(tail) // 2) + b"TFL3" + tail)


def outcome(data: bytes) -> None:
    """Read a model and plan its memory; a ModelError is the only way to fail."""
    try:
        model = read_model(data)
        estimate = estimate_memory(model)
    except ModelError as error:
        assert error.remedy  # noqa: PT017
        assert len(error.message) < 2000  # noqa: PT017
    else:
        assert model.operators is not None
        assert estimate.arena_bytes >= 0
