"""`lading adapt`, as a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.wasm import read_module
from tests.integration.test_json import KEYS
from tests.support.documents import keys_of
from tests.support.examples import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Lading

GUESTS = ROOT / "tests" / "guests"
DIGITS = ROOT / "examples" / "digits"


def test_a_guest_of_an_older_numbering_runs_on_a_host_of_today(lading: Lading, tmp_path: Path) -> None:
    made = tmp_path / "made.wasm"
    words = ("adapt", GUESTS / "crate_0_5.wasm", "--from", "spec-old", "--to", "wasmedge-0.17", "-o", made)
    document = lading.json(*words)
    assert set(KEYS["adapt"]) <= keys_of(document)
    assert [c["what"] for c in document["changes"]] == ["set_input"]
    assert (document["from"], document["to"], document["size"]) == ("spec-old", "wasmedge-0.17", made.stat().st_size)
    (tmp_path / "image.bin").write_bytes(bytes(range(64)))
    (tmp_path / "model.tflite").write_bytes((ROOT / "tests" / "data" / "models" / "digits_uint8.tflite").read_bytes())
    emulate = ("emulate", "--personality", "wasmedge-0.17", "--dir", f"{tmp_path}::.")
    args = ("--", "model.tflite", "image.bin", "1", "8", "8", "1")
    assert "   1.) [" in lading(*emulate, made, *args).out
    lading(*emulate, GUESTS / "crate_0_5.wasm", *args, expect=101)


def test_what_would_change_is_said(lading: Lading) -> None:
    said = lading("adapt", GUESTS / "wamr_style.wasm", "--from", "wamr-2.4", "--to", "wamr-2.3").out
    assert "compute: errnos of wamr-2.3\n" in said
    assert "get_output: sizes, errnos of wamr-2.3\n" in said
    assert "nothing to change" in lading("adapt", GUESTS / "wamr_style.wasm", "--to", "lading-litert").out


def test_a_model_becomes_part_of_the_guest(lading: Lading, tmp_path: Path) -> None:
    made, model = tmp_path / "made.wasm", DIGITS / "models" / "digits_f32.tflite"
    words = ("adapt", DIGITS / "digits.wasm", "--to", "wamr-2.3-legacy", "-o", made)
    refused = lading.json(*words, expect=1)
    assert refused["error"]["code"] == "not-adaptable"
    assert not made.exists()
    lading(*words, "--embed", f"digits={model}", "--slim")
    assert made.stat().st_size > model.stat().st_size
    assert read_module(made).nn_modules == ["wasi_nn"]
    run = ("emulate", made, "--personality", "wamr-2.3-legacy", "--dir", f"{DIGITS / 'images'}::/images")
    assert "accuracy: 99 of 100" in lading(*run, "--", "--input", "f32", "/images").out
    lading(*words, "--embed", "digits", expect=2)
    lading(*words, "--embed", f"digits={tmp_path}/none", expect=2)


def test_wrong_use_is_said(lading: Lading, tmp_path: Path) -> None:
    lading("adapt", tmp_path / "none.wasm", "--to", "wamr-2.4", expect=2)
    lading("adapt", GUESTS / "wamr_style.wasm", "--to", "no-such", expect=2)
    lading("adapt", GUESTS / "wamr_style.wasm", "--to", "wamr-2.4", "--from", "no-such", expect=2)
    lading("adapt", ROOT / "README.md", "--to", "wamr-2.4", expect=2)
    legacy = lading("adapt", GUESTS / "wamr_style.wasm", "--to", "wamr-2.4", "--from", "legacy", expect=1)
    assert "said to speak wasi_nn" in legacy.err
