"""Guests of today's compilers for engines of some years ago."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import profiles
from lading.errors import NotAdaptable
from lading.variants.guests.abi import Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading.variants.guests.assemble import unsigned
from lading.variants.guests.lower import lower
from lading.wasm import read_module
from tests.support.speakers import run_program
from tests.support.wasm_texts import FEATURES, FIRST_VERSION, assembled, engine

ROOT = Path(__file__).parents[4]
MVP = frozenset(("mutable-globals",))
LOWERED = ("sign-extension", "saturating-float-to-int", "bulk-memory", "call-indirect-overlong")

_NUMBERS = [
    *(sign * number for number in (0.0, 0.99, 1.5, 2.0**31 - 1, 2.0**31, 2.0**31 + 1, 2.0**32 - 1) for sign in (1, -1)),
    *(sign * number for number in (2.0**32, 2.0**63, 2.0**64, 1e30, math.inf, math.nan, 5e-324) for sign in (1, -1)),
]


def _functions(text: str) -> tuple[Any, Any]:
    return _of(lower(assembled(text), MVP).module), _of(assembled(text))


def _of(module: bytes) -> Any:
    store = wasmtime.Store(engine())
    exports = wasmtime.Instance(store, wasmtime.Module(store.engine, module), []).exports(store)
    return lambda name, *args: exports[name](store, *args)  # type: ignore[operator]


_TRUNCATIONS = [(to, of, sign) for to in ("i32", "i64") for of in ("f32", "f64") for sign in ("s", "u")]
_SATURATING = (
    "(module "
    + " ".join(
        f'(func (export "{to}{of}{sign}") (param {of}) (result {to}) ({to}.trunc_sat_{of}_{sign} (local.get 0)))'
        for to, of, sign in _TRUNCATIONS
    )
    + ")"
)


@given(st.one_of(st.sampled_from(_NUMBERS), st.floats(), st.floats(width=32)))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_conversions_saturate_as_before(value: float) -> None:
    module = lower(assembled(_SATURATING), MVP).module
    assert "saturating-float-to-int" not in read_module(module).features
    new, old = _of(module), _of(assembled(_SATURATING))
    for to, of, sign in _TRUNCATIONS:
        assert new(to + of + sign, value) == old(to + of + sign, value)


_EXTENDING = """(module
  (func (export "a") (param i32) (result i32) (i32.extend8_s (local.get 0)))
  (func (export "b") (param i32) (result i32) (i32.extend16_s (local.get 0)))
  (func (export "c") (param i64) (result i64) (i64.extend8_s (local.get 0)))
  (func (export "d") (param i64) (result i64) (i64.extend16_s (local.get 0)))
  (func (export "e") (param i64) (result i64) (i64.extend32_s (local.get 0))))"""


def test_signs_are_extended_as_before() -> None:
    new, old = _functions(_EXTENDING)
    for value in (0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, -1, -128, -129, -32769, -(2**31)):
        for name in "abcde":
            assert new(name, value) == old(name, value)
    for value in (2**31, 2**32 - 1, 2**40 + 200, -(2**63), 2**63 - 1):
        for name in "cde":
            assert new(name, value) == old(name, value)


_MOVING = """(module (memory (export "memory") 1) (data (i32.const 0) "{}")
  (func (export "copy") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2))))""".format(
    "".join(f"\\{i * 7 % 256:02x}" for i in range(400))
)
_at = st.one_of(st.integers(0, 300), st.integers(65500, 65540), st.just(2**32 - 4))


@given(st.sampled_from(["copy", "fill"]), _at, st.one_of(_at, st.integers(0, 600)), st.integers(0, 100))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_memory_is_copied_and_filled_as_before(what: str, to: int, other: int, n: int) -> None:
    came = []
    for module in (lower(assembled(_MOVING), MVP).module, assembled(_MOVING)):
        store = wasmtime.Store(engine())
        exports = wasmtime.Instance(store, wasmtime.Module(store.engine, module), []).exports(store)
        memory: Any = exports["memory"]
        try:
            exports[what](store, *(v - (v >> 31 << 32) for v in (to, other, n)))  # type: ignore[operator]
            end = ""
        except wasmtime.Trap:
            end = "trap"
        came.append((end, bytes(memory.read(store, 0, 65536))))
    assert came[0] == came[1]


def _call_indirect() -> bytes:
    """As current compilers write it: the table in five bytes."""
    text = """(module (table 2 funcref) (elem (i32.const 0) $f $g) (type $t (func (result i32)))
      (func $f (result i32) (i32.const 11)) (func $g (result i32) (i32.const 22))
      (func (export "call") (param i32) (result i32) (call_indirect (type $t) (local.get 0))))"""
    data = assembled(text)
    at = data.index(b"\x20\x00\x11") + 2
    size_at = at - 4
    assert data[size_at] == 7
    body = data[size_at + 1 : at] + data[at : at + 2] + b"\x80\x80\x80\x80\x00" + data[at + 3 : at + 4]
    code = data.rindex(b"\x0a", 0, size_at)
    assert data[code + 1] == size_at + 8 - (code + 2)
    return (
        data[: code + 1] + bytes([data[code + 1] + 4]) + data[code + 2 : size_at] + bytes([11]) + body + data[at + 4 :]
    )


def test_a_call_through_a_table_takes_one_byte_again() -> None:
    data = _call_indirect()
    assert "call-indirect-overlong" in read_module(data).features
    done = lower(data, profiles.find("wamr-1.3-legacy").wasm.features)
    assert done.changes == (("call-indirect-overlong", "done without, in 1 place"),)
    assert not read_module(done.module).features
    assert len(done.module) == len(data) - 4
    assert [_of(done.module)("call", i) for i in (0, 1)] == [11, 22]


@pytest.mark.parametrize("feature", LOWERED)
def test_what_is_lowered_leaves_nothing_behind(feature: str) -> None:
    texts = FEATURES.get(feature, [])
    for text in texts:
        data = assembled(text)
        try:
            done = lower(data, frozenset(read_module(data).features) - {feature})
        except NotAdaptable as refused:
            assert feature in refused.message  # noqa: PT017  (some texts use what nothing older does)
            continue
        assert feature not in read_module(done.module).features
        wasmtime.Module.validate(engine([feature] if feature not in LOWERED else []), done.module)


@pytest.mark.parametrize(
    "feature", ["simd", "threads", "multi-value", "tail-call", "multi-memory", "memory64", "exceptions", "gc"]
)
def test_what_nothing_older_does_is_refused_with_the_place(feature: str) -> None:
    data = assembled(FEATURES[feature][0])
    rest = frozenset(read_module(data).features) - {feature}
    with pytest.raises(NotAdaptable) as refused:
        lower(data, rest)
    assert feature in refused.value.message
    assert refused.value.details["feature"] == feature
    assert refused.value.remedy


def test_a_module_of_the_first_version_stays_as_it_is() -> None:
    for text in FIRST_VERSION:
        data = assembled(text)
        assert lower(data, MVP).module == data
        assert lower(data, {}).changes == ()


def test_what_an_engine_is_not_known_to_refuse_stays() -> None:
    data = assembled(_EXTENDING)
    assert lower(data, {"simd": False}).module == data
    assert lower(data, {"sign-extension": True}).module == data
    threads = assembled(FEATURES["threads"][0])
    assert lower(threads, {}).module == threads, "nothing is known, and nothing can be done"


def test_the_compilers_own_list_of_features_is_kept_true() -> None:
    listed = b"\x03" + b"".join(b"+" + unsigned(len(n)) + n for n in (b"sign-ext", b"multivalue", b"bulk-memory"))
    body = b"\x0ftarget_features" + listed
    data = assembled(_EXTENDING) + b"\0" + unsigned(len(body)) + body
    done = read_module(lower(data, MVP).module)
    assert [f.name for f in done.target_features] == ["multivalue", "bulk-memory"]


_CALLS = ("L:f=digits_f32.tflite", "I:g=0", "S:c=0,t=1,d=1x8x8x1,n=256,fill=imgf", "C:c=0", "G:c=0,i=0,max=40")


@pytest.mark.parametrize(
    ("name", "own", "other"),
    [
        ("nnx", "wamr-2.4", "wamr-1.3-legacy"),
        ("nnx_we", "wasmedge-main", "wamr-1.3-legacy"),
        ("nnx_legacy", "wamr-2.3-legacy", "wamr-1.3-legacy"),
        ("nnx_legacy_lbn", "wamr-2.4-legacy", "wamr-2.4"),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_a_program_of_a_current_compiler_runs_on_an_old_engine(name: str, own: str, other: str, first: bool) -> None:
    """Rewritten for a host of another ABI, and then for its engine (``first``: of the first version)."""
    module = (ROOT / "tests/data/recordings/guests" / f"{name}.wasm").read_bytes()
    mine, host, folder = profiles.find(own), profiles.find(other), ROOT / "tests" / "data" / "models"
    calls = [*_CALLS[:4], "G:c=0,i=0,max=10"] if name == "nnx_legacy" else _CALLS
    before = run_program(module, mine.resolved(), calls, folder=folder)
    plan = Plan(abi_of(mine), abi_of(host), uncalled=frozenset(("load_by_name", "compute_single")))
    done = lower(adapt(module, plan).module, MVP if first else host.wasm.features)
    if first:
        assert set(read_module(done.module).features) <= MVP
    elif other == "wamr-1.3-legacy":
        assert [c.what for c in done.changes] == ["call-indirect-overlong"]
    assert run_program(done.module, host.resolved(), calls, folder=folder) == before
