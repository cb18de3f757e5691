"""`lading retype` and `lading quantize`, as commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.tflite import read_model
from tests.integration.test_json import KEYS
from tests.support.documents import keys_of
from tests.support.examples import ROOT
from tests.support.quantizers import needs_quantizer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

MODELS = ROOT / "tests" / "data" / "models"


def test_retype_writes_the_model_and_says_what_changed(lading: Lading, tmp_path: Path) -> None:
    made = tmp_path / "made.tflite"
    words = ("retype", MODELS / "digits_int8.tflite", "--inputs", "float32", "--outputs", "uint8", "-o", made)
    document = lading.json(*words)
    assert set(KEYS["retype"]) <= keys_of(document)
    main = read_model(made).main
    assert (main.input_tensors[0].dtype, main.output_tensors[0].dtype) == ("float32", "uint8")
    assert [(c["direction"], c["after"]) for c in document["changes"]] == [("input", "float32"), ("output", "uint8")]
    text = lading(*words).out
    assert "int8 → float32" in text
    assert str(made) in text


def test_retype_says_what_is_possible_and_why_the_rest_is_not(lading: Lading) -> None:
    text = lading("retype", MODELS / "digits_f32.tflite").out
    assert "inputs  float32  as they are" in text
    assert "is computed with as float32 by CONV_2D" in text
    document = lading.json("retype", MODELS / "digits_int8.tflite")
    assert all(direction["possible"] for direction in document["possible"])


def test_refusals_of_retype(lading: Lading, tmp_path: Path) -> None:
    out = ("-o", tmp_path / "x.tflite")
    refused = lading.json("retype", MODELS / "digits_f32.tflite", "--inputs", "int8", *out, expect=1)
    assert refused["error"]["code"] == "not-retypable"
    (tmp_path / "no").write_bytes(b"no model")
    assert lading.json("retype", tmp_path / "no", "--inputs", "int8", *out, expect=2)["error"]["code"] == "model"
    assert lading.json("retype", tmp_path, expect=2)["error"]["code"] == "model"
    lading("retype", MODELS / "digits_int8.tflite", "--inputs", "int8", expect=2)
    odd = lading.json("retype", MODELS / "digits_int8.tflite", "--outputs", "float16", *out, expect=2)
    assert odd["error"]["message"].startswith("--outputs: 'float16'")
    nowhere = ("-o", tmp_path / "none" / "x.tflite")
    lading("retype", MODELS / "digits_int8.tflite", "--inputs", "uint8", *nowhere, expect=2)
    assert not (tmp_path / "x.tflite").exists()


def test_quantize_writes_the_model_and_a_report(lading: Lading, digits: Path, tmp_path: Path) -> None:
    needs_quantizer()
    made = tmp_path / "made.tflite"
    words = ("quantize", MODELS / "digits_f32.tflite", "--calibrate", digits, "-o", made)
    document = lading.json(*words)
    assert set(KEYS["quantize"]) <= keys_of(document)
    assert read_model(made).main.input_tensors[0].dtype == "int8"
    text = lading(*words).out
    assert "largest error" in text
    assert "golden vectors: before 1 of 1" in text


def test_refusals_of_quantize(lading: Lading, tmp_path: Path) -> None:
    needs_quantizer()
    out = ("-o", tmp_path / "x.tflite")
    assert lading.json("quantize", MODELS / "digits_f32.tflite", *out, expect=2)["error"]["code"] == "usage"
    refused = lading.json("quantize", MODELS / "digits_int8.tflite", "--mode", "dynamic-range", *out, expect=1)
    assert refused["error"]["code"] == "not-quantizable"
