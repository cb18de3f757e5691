"""The guest of WAMR's older interface: it classifies where that is offered, and says how it fails where it is not."""

from __future__ import annotations

import pytest

from lading.emulate import EmulateOptions, OpenedDir
from tests.support.examples import EXAMPLES
from tests.support.runs import Ran, run_module

LEGACY = ("wamr-1.3-legacy", "wamr-2.3-legacy", "wamr-2.4-legacy", "wamr-main-legacy")
IMAGES = ("images/0000_label6.pgm", "images/0001_label3.pgm")


def legacy(personality: str, variant: str = "f32") -> Ran:
    options = EmulateOptions(
        args=(f"models/digits_{variant}.tflite", *IMAGES),
        dirs=[OpenedDir(EXAMPLES / "digits", ".")],
        personality=personality,
    )
    return run_module(EXAMPLES / "legacy" / "legacy.wasm", options)


@pytest.mark.parametrize("personality", LEGACY)
@pytest.mark.parametrize("variant", ["f32", "float16", "uint8"])
def test_classifies_where_the_older_interface_is_offered(personality: str, variant: str) -> None:
    ran = legacy(personality, variant)
    assert (ran.status, ran.err) == (0, "")
    assert [line.split(" → ")[1].split()[0] for line in ran.out.splitlines()] == ["6", "3"]


@pytest.mark.parametrize("personality", LEGACY)
def test_an_int8_model_kills_the_host(personality: str) -> None:
    ran = legacy(personality, "int8")
    assert (ran.status, ran.result.kind, ran.out) == (134, "host-abort", "")
    assert "host crash (known: set_input" in ran.result.message


@pytest.mark.parametrize(
    ("personality", "status", "kind"),
    [("wamr-2.4", 1, "trap"), ("wasmedge-0.17", 1, "link-error"), ("lading-litert", 126, "link-error")],
)
def test_elsewhere_it_is_refused_or_traps(personality: str, status: int, kind: str) -> None:
    ran = legacy(personality)
    assert (ran.status, ran.result.kind) == (status, kind)
    assert "wasi_nn::load" in ran.result.message
