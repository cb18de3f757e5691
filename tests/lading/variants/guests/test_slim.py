"""Smaller guests that do the same, and other people's programs that do not do what they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from lading import profiles
from lading.errors import ModuleError, NotAdaptable, VariantError
from lading.variants.guests.abi import Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading.variants.guests.aot import compile_ahead, compiler
from lading.variants.guests.slim import slim
from lading.wasm import read_module
from tests.support.programs import need
from tests.support.speakers import run_program
from tests.support.wasm_texts import FEATURES, assembled

ROOT = Path(__file__).parents[4]
NNX = ROOT / "tests" / "data" / "recordings" / "guests" / "nnx.wasm"
_CALLS = ["L:f=digits_f32.tflite", "I:g=0", "S:c=0,t=1,d=1x8x8x1,n=256,fill=imgf", "C:c=0", "G:c=0,i=0,max=40"]
_TEXT = '(module (func $named (export "f") (result i32) (i32.const 1)))'


def _program(folder: Path, body: str, name: str = "wasm-opt") -> Path:
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "{name} version 1"; exit; }}\n{body}\n')
    path.chmod(0o755)
    return path


_TARGET = 'while [ "$1" != -o ]; do shift; done\n'


def test_what_engines_ignore_is_left_out_and_told() -> None:
    data = assembled(_TEXT)
    done = slim(data, optimizer=None)
    assert not read_module(done.module).custom
    assert done.after < done.before == len(data)
    assert done.changes == (("custom sections", f"name left out: {len(data) - done.after} of {len(data)} bytes less"),)
    assert slim(data, keep=["name"], optimizer=None).module == data
    assert slim(done.module, optimizer=None).changes == ()


def test_an_optimized_guest_says_the_same_before_and_after_it_was_rewritten() -> None:
    need("wasm-opt")
    module, folder = NNX.read_bytes(), ROOT / "tests" / "data" / "models"
    mine, other = profiles.find("wamr-2.4"), profiles.find("wamr-2.3")
    plan = Plan(abi_of(mine), abi_of(other), uncalled=frozenset(("load_by_name",)))
    done = slim(adapt(module, plan).module)
    assert done.after < done.before
    assert "wasm-opt version" in done.changes[-1].what
    assert set(read_module(done.module).features) <= set(read_module(module).features)
    before = run_program(module, mine.resolved(), _CALLS, folder=folder)
    assert run_program(done.module, other.resolved(), _CALLS, folder=folder) == before


def test_names_stay_when_they_are_asked_for() -> None:
    need("wasm-opt")
    data = assembled(
        '(module (memory 1) (func $named (export "f") (result i32) (i32.add (i32.const 1) (i32.const 2))))'
    )
    done = slim(data, keep=["name"])
    assert done.after < done.before
    assert b"named" in done.module


def test_without_the_optimizer_sections_are_all(tmp_path: Path) -> None:
    done = slim(assembled(_TEXT), optimizer=tmp_path / "missing")
    assert [c.what for c in done.changes] == ["custom sections"]


def test_a_guest_with_features_that_the_optimizer_may_not_know_is_not_given_to_it(tmp_path: Path) -> None:
    data = assembled(FEATURES["gc"][0])
    assert slim(data, optimizer=_program(tmp_path, "exit 1")).after <= len(data)


def test_what_the_optimizer_made_counts_only_when_it_is_smaller(tmp_path: Path) -> None:
    data = slim(assembled(_TEXT), optimizer=None).module
    same = _program(tmp_path, f'for f in "$@"; do case $f in *.wasm) in=$f;; esac; done\n{_TARGET}cp "$in" "$2"')
    assert slim(data, optimizer=same).module == data


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo no such flag >&2; exit 3", "with status 3: no such flag"),
        ("kill -9 $$", "by signal 9"),
        ("exit 0", "made nothing"),
        (f'{_TARGET}printf "\\0asm\\1\\0\\0\\0\\1" > "$2"', "cut off|not valid"),
        (f'{_TARGET}printf "\\0asm\\1\\0\\0\\0" > "$2"', "other imports or exports"),
    ],
)
def test_an_optimizer_that_fails_is_named_with_its_words(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises((VariantError, ModuleError), match=said) as failed:
        slim(assembled(_TEXT), optimizer=_program(tmp_path, body))
    assert failed.value.remedy


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ModuleError):
        slim(b"nothing")
    with pytest.raises(NotAdaptable):
        slim(b"\0asm\r\0\1\0")


@pytest.mark.parametrize(
    ("architecture", "features", "words"),
    [
        ("aarch64", {"simd": False}, "--target=aarch64 --disable-simd"),
        ("x86_64", {}, "--target=x86_64"),
        ("armv7l", {"simd": True}, "--target=armv7 --target-abi=gnueabihf"),
    ],
)
def test_code_for_wamr_is_made_by_its_own_compiler(
    tmp_path: Path, architecture: str, features: dict[str, bool], words: str
) -> None:
    body = f'echo "$*" > {tmp_path}/words\n{_TARGET}printf "\\0aot" > "$2"; cat "$3" >> "$2"'
    program, data = _program(tmp_path, body, "wamrc"), assembled(_TEXT)
    done = compile_ahead(data, architecture, features, program=program)
    assert done.code == b"\0aot" + data
    assert done.compiler == "wamrc version 1"
    assert (tmp_path / "words").read_text().startswith(f"{words} -o ")


def test_code_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(VariantError, match="there is no"):
        compile_ahead(b"", "aarch64", {}, program=tmp_path / "wamrc")
    program = _program(tmp_path, f'{_TARGET}echo text > "$2"', "wamrc")
    assert compiler(program) == str(program)
    with pytest.raises(VariantError, match="no name for vax"):
        compile_ahead(b"", "vax", {}, program=program)
    with pytest.raises(VariantError, match="no ahead-of-time code"):
        compile_ahead(b"", "aarch64", {}, program=program)
