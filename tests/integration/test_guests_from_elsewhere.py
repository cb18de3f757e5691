"""Guests laid out as others write them for wasi_ephemeral_nn run unmodified (sources in tests/guests)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading.emulate import EmulateOptions, OpenedDir, run_spec
from tests.support.examples import EXAMPLES, ROOT, Litert
from tests.support.runs import run, run_module

if TYPE_CHECKING:
    from pathlib import Path

GUESTS = ROOT / "tests" / "guests"
MODELS = EXAMPLES / "digits" / "models"


@pytest.fixture
def classification(tmp_path: Path) -> EmulateOptions:
    """A folder with a uint8 model and a raw tensor, and the arguments that name them."""
    image = np.load(EXAMPLES / "digits" / "golden" / "uint8" / "image.npy")
    (tmp_path / "tensor.bin").write_bytes(image.tobytes())
    (tmp_path / "model.tflite").write_bytes((MODELS / "digits_uint8.tflite").read_bytes())
    args = ["fixture/model.tflite", "fixture/tensor.bin", "1", "8", "8", "1"]
    return EmulateOptions(args=args, dirs=[OpenedDir(tmp_path, "fixture")])


def best_classes() -> str:
    """The five best classes of the golden vector, as the guest prints them."""
    recorded = np.load(EXAMPLES / "digits" / "golden" / "uint8" / "probabilities.npy")[0]
    order = np.argsort(-recorded.astype(int), kind="stable")[:5]
    return "".join(f"   {place}.) [{i}]({recorded[i]})\n" for place, i in enumerate(order, 1))


def test_wamr_style() -> None:
    options = EmulateOptions(args=["digits_f32.tflite", "1", "8", "8", "1"], dirs=[OpenedDir(MODELS, ".")])
    ran = run_module(GUESTS / "wamr_style.wasm", options)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("Result: 10 floats\n")
    ramp = np.arange(64, dtype=np.float32).reshape(1, 8, 8, 1)
    expected = Litert(MODELS / "digits_f32.tflite")({"image": ramp})["probabilities"][0]
    printed = [float(value) for value in re.findall(r"^\d+: (.*)$", ran.out, re.MULTILINE)]
    np.testing.assert_allclose(printed, expected, atol=1e-4)


def test_rust_crate_0_6(classification: EmulateOptions) -> None:
    """Its tensors carry the one byte of the type and dirty padding after it."""
    ran = run_module(GUESTS / "crate_0_6.wasm", classification)
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith(best_classes())


def test_rust_crate_0_5_meets_the_numbering_of_today(classification: EmulateOptions) -> None:
    """Its u8 is today's f64: the host says so, and the guest gets the errno that it would get on a board."""
    ran = run_module(GUESTS / "crate_0_5.wasm", classification)
    assert ran.status == 101
    assert "BackendError(InvalidArgument)" in ran.err
    assert "f64 (type 2)" in ran.log


def test_rust_crate_0_5_on_a_host_of_its_time(classification: EmulateOptions) -> None:
    """The numbering is data: with the one of before August 2023 the guest runs."""
    spec = run_spec(GUESTS / "crate_0_5.wasm", classification)
    abi = {**spec.personality["abi"], "tensor_types": {"f16": 0, "f32": 1, "u8": 2, "i32": 3}}
    ran = run(replace(spec, personality={**spec.personality, "abi": abi}))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.endswith(best_classes())
