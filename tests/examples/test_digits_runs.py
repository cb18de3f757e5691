"""The digits guest in the emulated host: every model, and the exit statuses and messages that its README promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lading.emulate import EmulateOptions, NamedModel, OpenedDir
from tests.support.examples import EXAMPLES
from tests.support.runs import run_module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.runs import Ran

DIGITS = EXAMPLES / "digits"


def digits(*args: str, variant: str = "int8", int8: str = "as-u8", opened: Path = DIGITS) -> Ran:
    model = NamedModel("digits", DIGITS / "models" / f"digits_{variant}.tflite", int8=int8)
    dirs = [OpenedDir(opened, "/")]
    return run_module(DIGITS / "digits.wasm", EmulateOptions(args=args, models=[model], dirs=dirs))


@pytest.mark.parametrize(
    ("variant", "int8", "args"),
    [
        ("int8", "as-u8", ()),
        ("int8", "quantize-f32", ("--input", "f32")),
        ("uint8", "as-u8", ("--input", "uint8")),
        ("f32", "as-u8", ("--input", "f32")),
        ("float16", "as-u8", ("--input", "f32")),
        ("f32", "as-u8", ("--input", "f32", "--model-file", "models/digits_float16.tflite")),
    ],
)
def test_classifies_the_images(variant: str, int8: str, args: tuple[str, ...]) -> None:
    ran = digits(*args, "images", variant=variant, int8=int8)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert re.fullmatch(r"images/0000_label6\.pgm → 6 \(\d+ %\) ok", lines[0])
    assert len(lines) == 102
    found = re.fullmatch(r"accuracy: (\d+) of 100 \(\d+\.0 %\)", lines[100])
    assert found is not None
    assert int(found[1]) >= 97
    assert re.fullmatch(r"latency: median \d+\.\d{3} ms, 95th percentile \d+\.\d{3} ms \(.*; 100 runs\)", lines[101])


def test_prints_the_lines_that_the_readme_shows() -> None:
    shown = [line for line in (DIGITS / "README.md").read_text().splitlines() if line.startswith("images/000")]
    assert shown
    assert set(shown) <= set(digits("images").out.splitlines())


def test_repeats_count_as_runs() -> None:
    assert digits("--repeat", "3").out.endswith("300 runs)\n")


def test_accuracy_below_the_wanted_exits_with_one() -> None:
    ran = digits("--min-accuracy", "100")
    assert ran.status == 1
    assert "wrong: it is a" in ran.out


def test_self_test() -> None:
    ran = digits("--self-test")
    assert ran.status == 0
    assert ran.out.startswith("self-test ok")


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (("--model", "cats"), 3, "load_by_name cats: not_found (8)\n"),
        (("--model-file", "README.md"), 3, r"load README.md: \w+ \(\d\)\n"),
        (("--input", "f32"), 3, "set_input: invalid_argument (1)\n"),
        (("--model-file", "nothing.tflite"), 3, "cannot open nothing.tflite: No such file or directory\n"),
        (("nowhere",), 3, "cannot open folder nowhere: No such file or directory\n"),
        (("models",), 3, "no .pgm images in models: nothing to do\n"),
        (("--min-accuracy", "101"), 2, "--min-accuracy: needs a whole number in its range\n"),
        (("--input", "int4"), 2, "--input int4: is none of int8, uint8, f32\n"),
    ],
)
def test_errors_name_the_call_and_the_errno(args: tuple[str, ...], status: int, message: str) -> None:
    ran = digits(*args)
    assert ran.status == status
    assert ran.err == message or re.fullmatch(message, ran.err)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"P5",
        b"P2 8 8 16\n" + b"0 " * 64,
        b"P5 8 8 16\n" + bytes(63),
        b"P5 8 8 16\n" + bytes(65),
        b"P5 9 7 16\n" + bytes(64),
        b"P5 8 8 0\n" + bytes(64),
        b"P5 8 8 99999999999999999999\n" + bytes(64),
    ],
)
def test_refuses_other_images(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "odd_label1.pgm").write_bytes(content)
    ran = digits(opened=tmp_path)
    assert ran.status == 3
    assert ran.err.startswith("bad image images/odd_label1.pgm: not ")


def test_an_image_without_label_is_classified_but_not_counted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    image = next((DIGITS / "images").glob("*_label7.pgm"))
    (tmp_path / "images" / "mine.pgm").write_bytes(image.read_bytes())
    ran = digits(opened=tmp_path)
    assert ran.status == 0
    assert re.match(r"images/mine\.pgm → 7 \(\d+ %\)\nlatency", ran.out)
