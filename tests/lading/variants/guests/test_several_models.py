"""A guest with several models whose data is converted in different ways."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import wasmtime

from lading import profiles
from lading.bundle import open_bundle, pack
from lading.errors import NotAdaptable
from lading.project import load_project
from lading.variants.guests.abi import Conversion, Known, Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading.variants.packing import Packer, Wanted
from lading_agent.nn.facts import read_model
from lading_agent.runs.spec import ModelSpec
from tests.support.apps import write_app
from tests.support.script_guest import model
from tests.support.speakers import Speaker, run_program, speak

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = bytes((i * 37) % 256 for i in range(64))
FLOATS = np.arange(64, dtype="<f4").tobytes()
OTHERS = ("wamr-2.4", "wamr-2.4-legacy", "wamr-main-legacy", "wamr-1.3-legacy")
_SILENT = frozenset(("load_by_name_with_config", "compute_single", "get_output_single", "fini_single", "unload",
                     "finalize_execution_context", "load_by_name"))  # fmt: skip


def _conversions(name: str) -> tuple[Conversion, ...]:
    facts = read_model(model("digits_uint8"))
    return tuple(
        Conversion(direction, 0, "uint8", "float32", t.scale, t.zero_point, t.count, model=name, nudge=nudge)  # type: ignore[arg-type]
        for direction, t, nudge in (("input", facts.inputs[0], 0.25), ("output", facts.outputs[0], 0.0))
    )


@pytest.mark.parametrize("other", OTHERS)
def test_each_model_has_its_own_conversions(other: str) -> None:
    mine, theirs = profiles.find("lading-litert"), profiles.find(other)
    speaker = Speaker(abi_of(mine), _SILENT)
    one, two = model("digits_uint8"), model("digits_f32")
    for content in (two, one):
        speaker.load(content)
    for graph in (1, 0, 1):
        speaker.init(graph)
    for context, kind, data, size in ((0, "u8", IMAGE, 10), (1, "f32", FLOATS, 40), (2, "u8", bytes(64), 10)):
        speaker.script.grow(1)
        speaker.set_input((1, 8, 8, 1), kind, data, context=context)
        speaker.compute(context)
        speaker.get_output(size, context=context)
    image, count = speaker.script.image(), len(speaker.script.calls)
    known = {"bytes": Known(size=len(one)), "floats": Known(size=len(two))}
    plan = Plan(abi_of(mine), abi_of(theirs), _conversions("bytes"), known=known)
    adapted = adapt(speaker.module, plan)
    before = speak(speaker.module, mine.resolved(), image, count)
    assert [e for i, e in enumerate(before.errnos) if i not in (5, 9, 13)] == [0] * 14, "the others are memory.grow"
    assert speak(adapted.module, theirs.resolved(), image, count) == before


@pytest.mark.parametrize("other", ["wamr-2.3", "wamr-2.3-legacy", "wamr-2.4"])
def test_models_that_are_part_of_the_guest_are_told_apart_by_their_names(other: str) -> None:
    """On the first two a load forgets what was loaded before: one model after the other."""
    mine, theirs = profiles.find("lading-litert"), profiles.find(other)
    speaker = Speaker(abi_of(mine), _SILENT - {"load_by_name"})
    models = {"bytes": model("digits_uint8"), "floats": model("digits_f32")}
    host = replace(abi_of(theirs), refused=abi_of(theirs).refused | {"load_by_name"})
    places: list[tuple[str, int, int, int]] = []
    for name, kind, data, size in (
        ("floats", "f32", FLOATS, 40),
        ("bytes", "u8", IMAGE, 10),
        ("floats", "f32", FLOATS, 40),
    ):
        n = len(places) if other == "wamr-2.4" else 0
        speaker.script.load_by_name(name.encode())
        speaker.init(n)
        speaker.set_input((1, 8, 8, 1), kind, data, context=n)
        speaker.compute(n)
        places.append((name, size, *speaker.get_output(size, context=n)))
    known = {name: Known(frozenset((name,))) for name in models}
    plan = Plan(abi_of(mine), host, _conversions("bytes"), models=models, known=known)
    adapted = adapt(speaker.module, plan)
    image, count = speaker.script.image(), len(speaker.script.calls)
    after = speak(adapted.module, theirs.resolved(), image, count)
    assert after.errnos == [0] * count
    for name, size, at, written in places:
        alone = Speaker(abi_of(mine), _SILENT)
        alone.load(models[name])
        alone.init()
        alone.set_input((1, 8, 8, 1), "u8" if name == "bytes" else "f32", IMAGE if name == "bytes" else FLOATS)
        alone.compute()
        wanted, _ = alone.get_output(size)
        own = speak(alone.module, mine.resolved(), alone.script.image(), 5)
        assert after.memory[at : at + size] == own.memory[wanted : wanted + size]
        assert int.from_bytes(after.memory[written : written + 4], "little") == size


def test_models_that_cannot_be_told_apart_are_refused() -> None:
    speaker, host = Speaker(abi_of(profiles.find("lading-litert")), _SILENT), abi_of(profiles.find("wamr-2.4"))
    for known, said in (
        ({}, "nothing is known"),
        ({"bytes": Known(size=7), "floats": Known(size=7)}, "7 bytes"),
        ({"bytes": Known(frozenset("a")), "floats": Known(frozenset("a"))}, "both called a"),
    ):
        with pytest.raises(NotAdaptable, match=said):
            adapt(speaker.module, Plan(speaker.abi, host, _conversions("bytes"), known=known))


_TWO = """(module
  (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "bytes") (data (i32.const 24) "floats")
  (data (i32.const 64) "\\01\\00\\00\\00\\08\\00\\00\\00\\08\\00\\00\\00\\01\\00\\00\\00")
  (data (i32.const 96) "\\40\\00\\00\\00\\04\\00\\00\\00\\03\\00\\00\\00\\00\\04\\00\\00\\40\\00\\00\\00")
  (data (i32.const 128) "\\40\\00\\00\\00\\04\\00\\00\\00\\01\\00\\00\\00\\00\\05\\00\\00\\00\\01\\00\\00")
  (func $must (param i32 i32) (if (local.get 0) (then (call $exit (local.get 1)))))
  (func $say (param $at i32) (param $n i32)
    (i32.store (i32.const 200) (local.get $at)) (i32.store (i32.const 204) (local.get $n))
    (drop (call $write (i32.const 1) (i32.const 200) (i32.const 1) (i32.const 208))))
  (func (export "_start") (local $i i32)
    (loop $fill
      (i32.store8 (i32.add (i32.const 1024) (local.get $i)) (i32.mul (local.get $i) (i32.const 37)))
      (f32.store (i32.add (i32.const 1280) (i32.shl (local.get $i) (i32.const 2)))
        (f32.div (f32.convert_i32_u (local.get $i)) (f32.const 64)))
      (br_if $fill (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 64))))
    (call $must (call $load (i32.const 16) (i32.const 5) (i32.const 40)) (i32.const 10))
    (call $must (call $load (i32.const 24) (i32.const 6) (i32.const 44)) (i32.const 11))
    (call $must (call $init (i32.load (i32.const 44)) (i32.const 52)) (i32.const 12))
    (call $must (call $init (i32.load (i32.const 40)) (i32.const 48)) (i32.const 13))
    (call $must (call $set (i32.load (i32.const 48)) (i32.const 0) (i32.const 96)) (i32.const 14))
    (call $must (call $set (i32.load (i32.const 52)) (i32.const 0) (i32.const 128)) (i32.const 15))
    (call $must (call $compute (i32.load (i32.const 48))) (i32.const 16))
    (call $must (call $compute (i32.load (i32.const 52))) (i32.const 17))
    (call $must (call $get (i32.load (i32.const 48)) (i32.const 0) (i32.const 2048) (i32.const 10) (i32.const 56))
      (i32.const 18))
    (call $must (call $get (i32.load (i32.const 52)) (i32.const 0) (i32.const 3072) (i32.const 40) (i32.const 60))
      (i32.const 19))
    (call $say (i32.const 2048) (i32.const 10)) (call $say (i32.const 3072) (i32.const 40))))"""


def test_a_packed_guest_with_two_models_gives_the_same_answers_where_only_one_needs_another_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    models = {"bytes": model("digits_uint8"), "floats": model("digits_f32")}
    guest = bytes(wasmtime.wat2wasm(_TWO))
    packer, out = Packer(Wanted(("wamr-2.4",))), tmp_path / "out.lading"
    bill = pack(load_project(write_app(tmp_path / "app", guest, models=models)), out, variants=packer).bill
    assert packer.report.unserved == ()
    made = bill.variant("wamr-2.4")
    contents = {}
    with open_bundle(out) as bundle:
        for variant in (bill.variant(), made):
            for digest in (variant.module.digest, *(one.digest for one in variant.models)):
                with bundle.open_blob(digest) as file:
                    contents[digest] = file.read()
    said = []
    for variant, profile in ((bill.variant(), "lading-litert"), (made, "wamr-2.4")):
        folder = tmp_path / profile
        folder.mkdir()
        for one in variant.models:
            (folder / one.name).write_bytes(contents[one.digest])
        specs = tuple(ModelSpec(one.name, str(folder / one.name)) for one in variant.models)
        personality = profiles.find(profile).resolved()
        module = contents[variant.module.digest]
        said.append(run_program(module, personality, models=specs, names=folder))
    assert said[0][1] == "exit 0"
    assert len(said[0][0]) == 50
    assert said[0] == said[1]
