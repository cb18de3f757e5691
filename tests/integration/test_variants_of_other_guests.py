"""Guests of other eras, made for other runtimes, in bundles that serve every firmware: the answers stay the same."""

from __future__ import annotations

import json
import random
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from lading import profiles
from lading.variants.plan import hosts_tflite
from tests.support.examples import EXAMPLES, ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

HOSTS = {i for i, profile in profiles.load_all().items() if hosts_tflite(profile)}
IMAGE = "0000_label6.pgm"


def project(folder: Path, module: Path, args: list[str]) -> Path:
    """A guest that reads its model and its input from files."""
    (folder / "files").mkdir(parents=True)
    shutil.copy(module, folder / "guest.wasm")
    for model in ("f32", "int8", "uint8"):
        shutil.copy(EXAMPLES / "digits" / "models" / f"digits_{model}.tflite", folder / "files")
    picture = EXAMPLES / "digits" / "images" / IMAGE
    shutil.copy(picture, folder / "files")
    (folder / "files" / "tensor.bin").write_bytes(picture.read_bytes()[-64:])
    (folder / "lading.toml").write_text(
        f'schema = 1\n[app]\nname = "other"\nversion = "1.0.0"\nmodule = "guest.wasm"\nargs = {json.dumps(args)}\n'
        '[[dir]]\nhost = "files"\nguest = "files"\n'
    )
    return folder


def answer(lading: Lading, bundle: Path, tmp_path: Path, profile: str) -> tuple[str, str]:
    """The variant that a board with this firmware gets, and what its guest says."""
    device = f"emulated://raspberry-pi-4b?firmware={profile}&state={tmp_path / f'board-{profile}'}"
    (deployed,) = json.loads(lading("deploy", bundle, device, "--json").stdout)["devices"]
    assert deployed["check"]["verdict"] == "ok"
    return deployed["variant"]["chosen"], deployed["run"]["stdout"]


@pytest.mark.parametrize("model", ["f32", "int8", "uint8"])
def test_a_guest_of_the_legacy_module_serves_all(lading: Lading, tmp_path: Path, model: str) -> None:
    """It loads the model from a file and sends f32: an int8 model kills every host that it was made for."""
    args = [f"files/digits_{model}.tflite", f"files/{IMAGE}"]
    folder = project(tmp_path / "app", EXAMPLES / "legacy" / "legacy.wasm", args)
    bundle = tmp_path / "other.lading"
    packed = lading.json("pack", folder, "-o", bundle)
    assert packed["unserved"] == []
    assert {p for variant in packed["variants"] for p in variant["profiles"]} == HOSTS
    for profile in ("wamr-1.3-legacy", "wamr-2.3", "wasmedge-0.14", "wasmedge-main", "lading-litert"):
        variant, said = answer(lading, bundle, tmp_path, profile)
        assert re.search(r"0000_label6\.pgm → 6 \(", said), (profile, variant, said)


@pytest.mark.parametrize(("era", "own"), [("0_5", "wasmedge-0.14"), ("0_6", "lading-litert")])
def test_a_guest_in_the_style_of_the_crate_says_the_same_everywhere(
    lading: Lading, tmp_path: Path, era: str, own: str
) -> None:
    args = ["files/digits_uint8.tflite", "files/tensor.bin", "1", "8", "8", "1"]
    folder = project(tmp_path / "app", ROOT / "tests" / "guests" / f"crate_{era}.wasm", args)
    bundle = tmp_path / "other.lading"
    packed = lading.json("pack", folder, "-o", bundle)
    assert packed["unserved"] == []
    variant, expected = answer(lading, bundle, tmp_path, own)
    assert variant == "default"
    assert expected
    sent = set()
    for profile in sorted({"wamr-2.3-legacy", "wamr-2.3", "wasmedge-0.14", "wasmedge-0.17"} - {own}):
        variant, said = answer(lading, bundle, tmp_path, profile)
        assert said == expected, (profile, variant)
        sent.add(variant)
    assert len(sent - {"default"}) >= 3


def test_an_int8_model_of_others_gives_the_same_bytes_everywhere(lading: Lading, tmp_path: Path) -> None:
    args = ["files/trained_lstm_int8.tflite", "files/noise.bin", "1", "28", "28"]
    folder = project(tmp_path / "app", ROOT / "tests" / "guests" / "crate_0_6.wasm", args)
    shutil.copy(ROOT / "tests" / "data" / "models" / "trained_lstm_int8.tflite", folder / "files")
    (folder / "files" / "noise.bin").write_bytes(random.Random(7).randbytes(28 * 28))
    bundle = tmp_path / "other.lading"
    assert lading.json("pack", folder, "-o", bundle)["unserved"] == []
    variant, expected = answer(lading, bundle, tmp_path, "lading-litert")
    assert variant == "default"
    assert expected
    for profile in ("wasmedge-0.17", "wamr-2.4", "wamr-1.3-legacy"):
        variant, said = answer(lading, bundle, tmp_path, profile)
        assert (variant, said) == (profile, expected)
