"""Retyped models on TensorFlow Lite Micro itself: every variant of int8 and uint8 models runs there, bit for bit.

Wants the path of a Python that has ``tflite-micro`` in LADING_TFLITE_MICRO_PYTHON. Only development builds are on PyPI.
"""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lading.tflite import read_model
from lading.variants.models.retype import possible, retype
from tests.lading.variants.models.test_retype import ODD
from tests.support.inference import converted, random_feed

VARIABLE = "LADING_TFLITE_MICRO_PYTHON"
ROOT = Path(__file__).parents[2]
FILES = ("tests/data/models/digits_int8.tflite", "tests/data/models/trained_lstm_int8.tflite",
         "tests/data/models/hello_world_int8.tflite", "examples/digits/models/digits_uint8.tflite")  # fmt: skip
PROGRAM = """
import sys
import numpy as np
from tflite_micro.python.tflite_micro import runtime
folder, inputs, outputs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
interpreter = runtime.Interpreter.from_bytes(open(folder + "/model", "rb").read())
for number in range(inputs):
    interpreter.set_input(np.load(f"{folder}/in{number}.npy"), number)
interpreter.invoke()
for number in range(outputs):
    np.save(f"{folder}/out{number}.npy", interpreter.get_output(number))
"""


def models() -> list[tuple[str, bytes]]:
    found = [(name, (ROOT / name).read_bytes()) for name in FILES]
    return found + [(make.__name__.strip("_"), make()) for make in ODD]


@pytest.mark.parametrize(("name", "before"), models(), ids=[name for name, _ in models()])
def test_every_variant_runs_on_micro_with_the_same_integers(name: str, before: bytes, tmp_path: Path) -> None:
    python = os.environ.get(VARIABLE, "")
    if not python:
        pytest.skip(f"{VARIABLE} names no Python with tflite-micro")
    main = read_model(before).main
    feed = random_feed(main.input_tensors, 3)
    can = possible(before)
    sides = [[None, *(t for t, d in side.items() if d.changes)] for side in (can.inputs, can.outputs)]
    expected: list[np.typing.NDArray[np.generic]] = []
    for inputs, outputs in itertools.product(*sides):
        model = retype(before, inputs=inputs, outputs=outputs).data
        graph = read_model(model).main
        (tmp_path / "model").write_bytes(model)
        for number, (old, new, array) in enumerate(zip(main.input_tensors, graph.input_tensors, feed, strict=True)):
            if old.dtype == "float32" != new.dtype:
                pytest.skip("fed with f32 of no step")
            scale, zero_point = (
                (old.quantization.scales[0], old.quantization.zero_points[0]) if old.quantization else (1.0, 0)
            )
            np.save(tmp_path / f"in{number}.npy", converted(array, new.dtype, scale, zero_point))
        count = len(graph.outputs)
        subprocess.run([python, "-c", PROGRAM, tmp_path, str(len(feed)), str(count)], check=True, capture_output=True)
        got = [np.load(tmp_path / f"out{number}.npy") for number in range(count)]
        if not expected:
            expected = got
        for tensor, ours, theirs in zip(main.output_tensors, expected, got, strict=True):
            assert tensor.quantization is None or ours.dtype == tensor.dtype
            if tensor.quantization is None:
                continue
            scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
            np.testing.assert_array_equal(theirs, converted(ours, str(theirs.dtype), scale, zero_point), name)
