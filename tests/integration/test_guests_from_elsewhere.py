"""Guests laid out as others write them for wasi_ephemeral_nn run unmodified (sources in tests/guests)."""

from __future__ import annotations

import json
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

    from tests.support.command import Lading

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


CALLS = [
    # What is asked of a guest that was written to try real runtimes, and the errno that the default host answers.
    ("L:f=digits_f32.tflite", 0),
    ("I:g=0", 0),
    ("S:c=0,t=1,d=1x8x8x1,n=256,fill=imgf", 0),
    ("C:c=0", 0),
    ("G:c=0,i=0,max=40", 0),
    ("G:c=0,i=0,max=8", 7),
    ("G:c=7,i=0,max=40", 1),
    ("G:c=0,out=end-4,max=40", 1),
    ("S:c=0,t=1,d=1x8x8x1,n=255", 1),
    ("S:c=0,t=9,d=1x8x8x1,n=256", 1),
    ("S:c=0,i=3,t=1,d=1x8x8x1,n=256", 1),
    ("S:c=0,t=1,d=1x8x8x1,n=256,vptr=end-8", 1),
    ("S:c=0,t=1,d=1x8x8x1,n=256,pad=11259375", 0),
    ("I:g=9", 1),
    ("L:f=@empty", 1),
    ("L:f=@garbage:100", 1),
    ("L:f=@magic:5000", 1),
    ("L:f=digits_f32.tflite,enc=77", 2),
    ("L:f=digits_f32.tflite,tgt=9", 1),
    ("L:f=digits_f32.tflite,gout=end-2", 1),
    ("L:f=digits_f32.tflite,blen=4294967295", 1),
    ("L:f=digits_f32.tflite,nb=2", 1),
    ("N:name=digits", 8),
]


def test_a_guest_that_tries_runtimes(lading: Lading) -> None:
    module = ROOT / "tests" / "data" / "recordings" / "guests" / "nnx.wasm"
    models = ROOT / "tests" / "data" / "models"
    done = lading("emulate", module, "--dir", f"{models}::.", "--", *(call for call, _ in CALLS))
    answers = [json.loads(line[1:]) for line in done.out.splitlines()]
    asked = [answer["call"] for answer in answers if "call" in answer]
    errnos = [answer["errno"] for answer in answers if "errno" in answer]
    assert list(zip(asked, errnos, strict=True)) == CALLS
    assert done.err.count("[host]") >= sum(errno != 0 for _, errno in CALLS), "the host's log says why"
