"""The digits example: its models, images and golden vectors are what its README says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.examples import EXAMPLES, Litert, assert_golden, assert_sums, imports_of

DIGITS = EXAMPLES / "digits"
VARIANTS = {"f32": np.float32, "float16": np.float32, "int8": np.int8, "uint8": np.uint8}
"""Model to the type of its input and output."""
QUANTIZATION = {"int8": -128, "uint8": 0}
"""Model to the zero point of its input and output."""


def images() -> list[tuple[np.ndarray[Any, Any], int]]:
    """Grey levels 0 to 16 and label of every held-out image."""
    found = []
    for path in sorted((DIGITS / "images").glob("*.pgm")):
        data = path.read_bytes()
        assert data.startswith(b"P5\n8 8\n16\n")
        found.append((np.frombuffer(data[-64:], np.uint8).reshape(1, 8, 8, 1), int(path.stem[-1])))
    return found


def model(variant: str) -> Litert:
    return Litert(DIGITS / "models" / f"digits_{variant}.tflite")


def test_data_is_what_build_models_wrote() -> None:
    assert_sums(DIGITS)


def test_there_are_ten_images_of_each_digit() -> None:
    labels = [label for _, label in images()]
    assert sorted(labels) == [digit for digit in range(10) for _ in range(10)]


@pytest.mark.parametrize(("variant", "dtype"), VARIANTS.items())
def test_accuracy_on_held_out_images(variant: str, dtype: type) -> None:
    litert = model(variant)
    right = 0
    for grey, label in images():
        ink = grey / 16 if dtype is np.float32 else np.rint(grey / 16 * 255) + QUANTIZATION[variant]
        probabilities = litert({"image": ink.astype(dtype)})["probabilities"]
        right += int(probabilities.argmax() == label)
    assert right >= 97


@pytest.mark.parametrize(("variant", "zero_point"), QUANTIZATION.items())
def test_one_byte_is_one_pixel_and_one_probability(variant: str, zero_point: int) -> None:
    """The guest quantizes by flipping bits, so these scales are part of the interface between model and guest."""
    litert = model(variant)
    scale, offset = litert.quantization("image")
    assert (scale, offset) == (float(np.float32(1 / 255)), zero_point)
    assert litert.quantization("probabilities") == (1 / 256, zero_point)


@pytest.mark.parametrize("variant", VARIANTS)
def test_golden_vectors(variant: str) -> None:
    assert_golden(model(variant), DIGITS / "golden" / variant, inputs=["image"], outputs=["probabilities"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_load_on_old_interpreters(variant: str) -> None:
    newest = {"FULLY_CONNECTED": 4, "CONV_2D": 3, "MAX_POOL_2D": 2, "SOFTMAX": 2, "DEQUANTIZE": 3, "QUANTIZE": 1}
    for operator, version in model(variant).operators().items():
        assert version <= newest.get(operator, 1), operator


def test_guest_imports() -> None:
    names = imports_of(DIGITS / "digits.wasm")
    assert set(names) == {"wasi_snapshot_preview1", "wasi_ephemeral_nn"}
    assert names["wasi_ephemeral_nn"] == {
        "load",
        "load_by_name",
        "init_execution_context",
        "set_input",
        "compute",
        "get_output",
    }
    assert not {name for name in names["wasi_snapshot_preview1"] if name.startswith(("sock_", "poll_", "path_unlink"))}
