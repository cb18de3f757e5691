"""Guests that take more than a host has, in ways that end an engine rather than a guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lading_agent.runs import verdict
from lading_agent.runs.spec import MIB, Limits, RunSpec
from tests.support.script_guest import run_wat

if TYPE_CHECKING:
    from pathlib import Path

START = '(func (export "_start") {})'


def module(body: str, more: str = "") -> str:
    return (
        '(module (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))'
        f' (memory (export "memory") 1) {more} {START.format(body)})'
    )


def test_four_gigabytes_of_random_numbers_are_the_guest_s_own_end(tmp_path: Path, litert: dict[str, Any]) -> None:
    result = run_wat(module("(drop (call $random (i32.const 0) (i32.const -1)))"), tmp_path, litert).result
    assert (result.outcome, result.status) == ("trap", 134)


def test_a_table_that_grows_for_ever_is_out_of_memory(tmp_path: Path, litert: dict[str, Any]) -> None:
    grow = "(loop $l (br_if $l (i32.ne (table.grow $t (ref.null func) (i32.const 10000000)) (i32.const -1))))"
    text = module(grow, "(table $t 1 funcref)")
    result = run_wat(text, tmp_path, litert, limits=Limits(memory_bytes=64 * MIB)).result
    assert (result.kind, result.status) == ("out-of-memory", 125)


def test_a_start_function_with_parameters_is_no_program(tmp_path: Path, litert: dict[str, Any]) -> None:
    text = '(module (memory (export "memory") 1) (func (export "_start") (param i32)))'
    result = run_wat(text, tmp_path, litert).result
    assert (result.kind, result.status) == ("not-loadable", 126)
    assert "parameters" in result.message


@pytest.mark.parametrize("phase", ["load", "init", "compute"])
@pytest.mark.parametrize(
    ("tail", "kind"), [(b"memory allocation of 3960 bytes failed\n", "out-of-memory"), (b"", "interpreter-crashed")]
)
def test_an_interpreter_that_died_was_not_stuck(litert: dict[str, Any], phase: str, tail: bytes, kind: str) -> None:
    spec = RunSpec(module="guest.wasm", personality=litert)
    result = verdict.died(spec, returncode=-6, killed_for=None, phase=phase, stderr_tail=tail, metrics={})
    assert result.kind == kind
    assert f"in {phase}" in result.message
    assert "stuck" not in result.message
