"""Modules with every feature keep their meaning when their functions move."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import wasmtime

from lading import profiles
from lading.errors import ModuleError, NotAdaptable
from lading.variants.guests.abi import Plan, abi_of, abi_of_era
from lading.variants.guests.adapt import adapt
from lading.variants.guests.assemble import Function, assemble, signed, unsigned
from lading.variants.guests.editor import Editor
from lading.variants.guests.sections import split
from lading.wasm import read_module
from lading.wasm.cursor import Cursor
from tests.support.wasm_texts import FEATURES, FIRST_VERSION, assembled

OLD, NEW = abi_of_era("spec-old"), abi_of(profiles.shipped("lading-litert"))
TEXTS = [("first-version", text) for text in FIRST_VERSION] + [
    (name, text) for name, texts in FEATURES.items() for text in texts if name != "custom-page-sizes"
]
"""Pages of another size are in no release of the engine."""


def _moved(data: bytes) -> bytes:
    """The same module with an import and a function more, so that every function has another index."""
    editor = Editor(data)
    editor.import_function("host.extra", "elsewhere", "extra", ("i32", "f64"), ("i64",))
    editor.add(Function("added", (("x", "i32"),), ("i32",), "local.get x i32.const 1 i32.add"))
    return editor.finish()


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    for name in ("threads", "tail_call", "multi_memory", "memory64", "relaxed_simd", "function_references", "gc",
                 "exceptions", "wide_arithmetic"):  # fmt: skip
        setattr(config, f"wasm_{name}", True)
    return wasmtime.Engine(config)


@pytest.mark.parametrize(("feature", "text"), TEXTS)
def test_a_module_of_every_feature_stays_valid(feature: str, text: str) -> None:
    before = assembled(text)
    engine = _engine()
    wasmtime.Module.validate(engine, before)
    after = _moved(before)
    wasmtime.Module.validate(engine, after)
    old, new = read_module(before), read_module(after)
    assert [(e.name, e.kind) for e in new.exports] == [(e.name, e.kind) for e in old.exports]
    assert len(new.functions) == len(old.functions) + 2
    assert {name: use.count for name, use in new.features.items() if name != "call-indirect-overlong"} == {
        name: use.count for name, use in old.features.items() if name != "call-indirect-overlong"
    }


_WAYS = """(module
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "other" "before" (func $before (param i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "other" "behind" (func $behind (param i32)))
  (type $one (func (param i32) (result i32)))
  (table $t (export "table") 4 4 funcref)
  (table $u 2 2 funcref)
  (memory (export "memory") 1)
  (global $g funcref (ref.func $compute))
  (global (export "kept") funcref (ref.func $plain))
  (elem (table $t) (i32.const 0) func $compute $plain)
  (elem (table $u) (i32.const 0) funcref (ref.func $plain) (ref.func $compute))
  (elem $passive func $plain $compute)
  (elem declare func $compute)
  (export "compute" (func $compute))
  (func $plain (export "plain") (param i32) (result i32) (i32.add (local.get 0) (i32.const 100)))
  (func $start (call $before (i32.const 1)) (call $behind (i32.const 2)))
  (start $start)
  (func (export "direct") (param i32) (result i32) (call $compute (local.get 0)))
  (func (export "tail") (param i32) (result i32) (return_call $compute (local.get 0)))
  (func (export "through-table") (param i32 i32) (result i32)
    (call_indirect $t (type $one) (local.get 0) (local.get 1)))
  (func (export "through-other") (param i32 i32) (result i32)
    (call_indirect $u (type $one) (local.get 0) (local.get 1)))
  (func (export "through-passive") (param i32 i32) (result i32)
    (table.init $t $passive (i32.const 2) (i32.const 0) (i32.const 2))
    (call_indirect $t (type $one) (local.get 0) (i32.add (i32.const 2) (local.get 1))))
  (func (export "through-global") (param i32) (result i32)
    (table.set $t (i32.const 3) (global.get $g)) (call_indirect $t (type $one) (local.get 0) (i32.const 3)))
  (func (export "through-reference") (param i32) (result i32)
    (table.set $t (i32.const 3) (ref.func $compute)) (call_indirect $t (type $one) (local.get 0) (i32.const 3))))"""


def _exports(module: bytes, errno: int) -> tuple[Any, Any, list[int]]:
    store, told = wasmtime.Store(_engine()), list[int]()
    linker = wasmtime.Linker(store.engine)
    i32 = wasmtime.ValType.i32()
    linker.define_func("wasi_ephemeral_nn", "compute", wasmtime.FuncType([i32], [i32]), lambda _: errno)
    linker.define_func("wasi_ephemeral_nn", "get_output", wasmtime.FuncType([i32] * 5, [i32]), lambda *_: errno)
    for name in ("before", "behind"):
        linker.define_func("other", name, wasmtime.FuncType([i32], []), told.append)
    return store, linker.instantiate(store, wasmtime.Module(store.engine, module)).exports(store), told


def test_every_way_to_a_function_leads_to_the_adapter_or_to_where_it_moved() -> None:
    firmware = abi_of(profiles.shipped("wamr-2.3"))
    adapted = adapt(assembled(_WAYS), Plan(NEW, firmware))
    assert [c.what for c in adapted.changes] == ["compute", "get_output"]
    too_large = firmware.errno["too_large"]
    store, exports, told = _exports(adapted.module, too_large)
    assert told == [1, 2]
    wanted = NEW.errno["too_large"]
    assert too_large != wanted
    for name in ("compute", "direct", "tail", "through-global", "through-reference"):
        assert exports[name](store, 5) == wanted, name
    for name, first, second in (("through-table", wanted, 105), ("through-other", 105, wanted)):
        assert (exports[name](store, 5, 0), exports[name](store, 5, 1)) == (first, second), name
    assert (exports["through-passive"](store, 5, 0), exports["through-passive"](store, 5, 1)) == (105, wanted)
    assert exports["kept"].value(store)(store, 1) == 101
    assert exports["table"].get(store, 0)(store, 1) == wanted


def _names(data: bytes) -> dict[int, str]:
    found = next(s for s in split(data) if s.name == "name")
    c = Cursor(data, found.start, found.end)
    while not c.done:
        kind = c.byte("a kind")
        part = c.part(c.u32("a size"), "names")
        if kind == 1:
            return {part.u32("an index"): part.name("a name") for _ in range(part.u32("a number"))}
    return {}


def test_names_move_with_their_functions() -> None:
    adapted = adapt(assembled(_WAYS), Plan(NEW, abi_of(profiles.shipped("wamr-2.3")))).module
    names, module = _names(adapted), read_module(adapted)
    exports = {e.name: e.index for e in module.exports if e.kind == "func"}
    assert names[exports["plain"]] == "plain"
    assert module.start is not None
    assert names[module.start] == "start"
    assert names[exports["compute"]] == "adapter.compute"
    imported = [f"{i.module}.{i.name}" for i in module.imports]
    assert [names[i] for i in range(len(imported))] == ["before", "behind", "host.compute", "host.get_output"]
    assert imported == ["other.before", "other.behind", "wasi_ephemeral_nn.compute", "wasi_ephemeral_nn.get_output"]


def _with_custom(data: bytes, name: str, content: bytes) -> bytes:
    body = unsigned(len(name)) + name.encode() + content
    return data + b"\0" + unsigned(len(body)) + body


@pytest.mark.parametrize("name", [".debug_info", ".debug_line", "sourceMappingURL", "reloc.CODE", "linking"])
def test_what_speaks_of_places_in_the_code_is_left_out_and_said(name: str) -> None:
    guest = _with_custom(_with_custom(assembled(_WAYS), name, b"1234"), "mine", b"keep")
    adapted = adapt(guest, Plan(NEW, abi_of(profiles.shipped("wamr-2.3"))))
    custom = [c.name for c in read_module(adapted.module).custom]
    assert name not in custom
    assert "mine" in custom
    assert name in [c.what for c in adapted.changes]


@pytest.mark.parametrize("content", [b"\1\5\xff\xff\xff\xff\x0f", b"\1\2\1\0", b"\x02\x80"])
def test_malformed_names_are_left_out_as_engines_ignore_them(content: bytes) -> None:
    data = assembled("(module " + _WAYS.partition("(module")[2])
    without = b"".join(
        [data[:8]]
        + [
            bytes([s.number]) + unsigned(s.end - s.start) + data[s.start : s.end]
            for s in split(data)
            if s.name != "name"
        ]
    )
    adapted = adapt(_with_custom(without, "name", content), Plan(NEW, abi_of(profiles.shipped("wamr-2.3"))))
    assert "name" in [c.what for c in adapted.changes]


_GUEST = """(module (import "wasi_ephemeral_nn" "{}" (func (param {}) (result {}))) (memory (export "memory") 1))"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (_GUEST.format("compute", "i64", "i32"), "(i64) -> (i32)"),
        (_GUEST.format("load", "i32 i32 i32 i32", "i32"), "made"),
        (_GUEST.format("computes", "i32", "i32"), "wasi-nn does not have"),
        (_GUEST.format("compute", "i32", "i32").replace("wasi_ephemeral_nn", "wasi_nn"), "said to speak"),
        ('(module (import "wasi_ephemeral_nn" "compute" (memory 1)))', "wasi-nn does not have"),
        ('(module (import "wasi_ephemeral_nn" "compute" (func (param i32) (result i32))))', "no memories"),
        (_GUEST.format("compute", "i32", "i32").replace(" 1))", " 1) (memory 1))"), "2 memories"),
        (_GUEST.format("compute", "i32", "i32").replace(" 1))", " i64 1))"), "64-bit"),
        (_GUEST.format("compute", "i32", "i32").replace(" 1))", " 1 2 shared))"), "shared"),
        (_GUEST.format("compute_single", "i32", "i32"), "compute_single"),
    ],
)
def test_guests_that_cannot_be_rewritten_are_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(NotAdaptable) as refused:
        adapt(assembled(text), Plan(NEW, abi_of(profiles.shipped("wamr-2.3"))))
    assert said in refused.value.message + refused.value.remedy
    assert refused.value.remedy


def test_a_component_is_refused() -> None:
    with pytest.raises(NotAdaptable, match="component"):
        adapt(b"\0asm\r\0\1\0", Plan(NEW, OLD))


def test_a_body_that_is_not_valid_is_refused() -> None:
    data = bytearray(assembled(_WAYS))
    at = data.index(assemble(Function("f", (("x", "i32"),), ("i32",), "local.get x i32.const 100 i32.add"), len)[:3])
    data[at + 2] = 0x01  # an addition with one operand
    with pytest.raises(NotAdaptable, match="not valid"):
        adapt(bytes(data), Plan(NEW, abi_of(profiles.shipped("wamr-2.3"))))


def test_an_element_that_is_no_function_is_malformed() -> None:
    data = assembled("(module (func $f) (table 1 funcref) (elem (i32.const 0) $f))")
    bad = data.replace(b"\x09\x07\x01\x00\x41\x00\x0b\x01\x00", b"\x09\x07\x01\x00\x41\x00\x0b\x01\x7f")
    assert bad != data
    with pytest.raises(ModuleError, match="127"):
        _moved(bad)


def test_cut_and_changed_bytes_end_in_named_errors_or_a_module() -> None:
    data = assembled(_WAYS)
    plan = Plan(NEW, abi_of(profiles.shipped("wamr-2.3")))
    for at in range(0, len(data), 7):
        for damaged in (data[:at], data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]):
            with contextlib.suppress(ModuleError, NotAdaptable):
                adapt(damaged, plan)


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, -1, -64, -65, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)])
def test_numbers_are_written_as_they_are_read(value: int) -> None:
    assert Cursor(signed(value)).s64("a number") == value
    if value >= 0:
        assert Cursor(unsigned(value)).u64("a number") == value


def test_the_assembler_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match=r"i32\.popcnt"):
        assemble(Function("f", (), ("i32",), "i32.const 1 i32.popcnt"), len)
