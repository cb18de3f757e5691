"""Records that a host wants larger than the guest has them: where they go, and that nobody notices."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import profiles
from lading.errors import NotAdaptable
from lading.variants.guests.abi import Conversion, Enum, Plan, abi_of, abi_of_era
from lading.variants.guests.adapt import adapt
from lading.wasm import read_module
from lading_agent.nn.decode import PARAMETERS
from tests.support.speakers import Speaker, speak

SPEC, LEGACY = abi_of_era("spec-new"), abi_of_era("legacy")
_SLOW = settings(max_examples=80, deadline=None, derandomize=True)
_SILENT = frozenset(("load_by_name", "load_by_name_with_config", "compute_single", "get_output_single", "fini_single"))


class Host:
    """A guest's one function, and a host that looks at all of its memory while it is called."""

    def __init__(self, function: str, guest: Any, host: Any, pages: int = 1) -> None:
        n, m = (len(PARAMETERS[abi.layout][function]) for abi in (guest, host))
        text = f"""(module (import "{guest.module}" "{function}" (func $f (param {"i32 " * n}) (result i32)))
          (memory (export "memory") {pages})
          (func (export "call") (param {"i32 " * n}) (result i32)
            (call $f {" ".join(f"(local.get {i})" for i in range(n))})))"""
        adapted = adapt(bytes(wasmtime.wat2wasm(text)), Plan(guest, host)).module
        self.store = wasmtime.Store()
        linker = wasmtime.Linker(self.store.engine)
        i32 = wasmtime.ValType.i32()
        kind = wasmtime.FuncType([i32] * m, [i32])
        linker.define_func(host.module, function, kind, self._called, access_caller=True)
        exports = linker.instantiate(self.store, wasmtime.Module(self.store.engine, adapted)).exports(self.store)
        self.memory: Any = exports["memory"]
        self._exports: Any = exports
        self.args: tuple[int, ...] = ()
        self.seen = b""

    def _called(self, caller: Any, *args: int) -> int:
        self.args, self.seen = tuple(a & 0xFFFFFFFF for a in args), bytes(self.memory.read(caller))
        return 0

    def call(self, memory: bytes, *args: int) -> int:
        """Call it with this memory; memory is the same afterwards."""
        self.memory.write(self.store, memory)
        result = int(self._exports["call"](self.store, *(a - (a >> 31 << 32) for a in args)))
        assert bytes(self.memory.read(self.store)) == memory
        return result


@st.composite
def places(draw: st.DrawFn, sizes: tuple[int, ...]) -> list[int]:
    """Places for pieces of these sizes near the beginning of memory, in any order, with gaps between."""
    at, found = draw(st.integers(0, 40)), dict[int, int]()
    for piece in draw(st.permutations(range(len(sizes)))):
        found[piece] = at
        at += sizes[piece] + draw(st.sampled_from([0, 0, 0, 4, 7, 8, 19, 20, 30]))
    return [found[i] for i in range(len(sizes))]


@given(st.data(), st.integers(0, 5), st.integers(0, 40))
@_SLOW
def test_an_old_tensor_finds_room_beside_everything_that_the_call_speaks_of(
    data: st.DataObject, rank: int, first: int
) -> None:
    dims = [first, 1, 1, 1, 1][:rank]
    count = first if rank else 1
    sizes = (12, 8, 4 * rank, 4 * count)
    tensor, shape, at, values = data.draw(places(sizes))
    memory = bytearray((i * 31 + 7) % 251 for i in range(65536))
    struct.pack_into("<III", memory, tensor, shape, 0xAABBCC01, values)
    struct.pack_into("<II", memory, shape, at, rank)
    struct.pack_into(f"<{rank}I", memory, at, *dims)
    host = Host("set_input", LEGACY, SPEC)
    assert host.call(bytes(memory), 7, 3, tensor) == 0
    context, index, record = host.args
    assert (context, index) == (7, 3)
    told = struct.unpack_from("<IIBxxxII", host.seen, record)
    assert told == (at, rank, 1, values, 4 * count)
    for piece, size in zip((tensor, shape, at, values), sizes, strict=True):
        assert host.seen[piece : piece + size] == memory[piece : piece + size]


@given(st.data(), st.integers(1, 3), st.integers(0, 60))
@_SLOW
def test_the_list_of_an_old_load_finds_room_beside_the_model(data: st.DataObject, builders: int, size: int) -> None:
    array, model, out = data.draw(places((8 * builders, size, 4)))
    memory = bytearray((i * 31 + 7) % 251 for i in range(65536))
    for i in range(builders):
        struct.pack_into("<II", memory, array + 8 * i, model, size)
    host = Host("load", SPEC, LEGACY)
    assert host.call(bytes(memory), array, builders, 4, 0, out) == 0
    record, *rest = host.args
    assert rest == [4, 0, out]
    assert struct.unpack_from("<II", host.seen, record) == (array, builders)
    for piece, length in ((array, 8 * builders), (model, size), (out, 4)):
        assert host.seen[piece : piece + length] == memory[piece : piece + length]


def test_where_there_is_no_room_the_call_fails_and_the_host_is_not_asked() -> None:
    memory = bytearray(65536)
    struct.pack_into("<II", memory, 0, 8, 65528)
    host = Host("load", SPEC, LEGACY)
    assert host.call(bytes(memory), 0, 1, 4, 0, 12) == SPEC.errno["invalid_argument"]
    assert host.args == ()


@pytest.mark.parametrize("tensor", [65517, 65536, 0x7FFFFFF0, 0xFFFFFFE0])
def test_a_tensor_outside_of_memory_ends_as_on_the_guests_own_host(tensor: int) -> None:
    host = Host("set_input", SPEC, LEGACY)
    assert host.call(bytes(65536), 0, 0, tensor) == SPEC.errno["invalid_argument"]
    assert host.args == ()
    other = Host("set_input", SPEC, abi_of_era("spec-old"))
    assert other.call(bytes(65536), 0, 0, tensor) == 0
    assert other.args == (0, 0, tensor), "a host of the same layout looks at pointers itself"
    trapping = Host("set_input", LEGACY, SPEC)
    with pytest.raises(wasmtime.Trap):
        trapping.call(bytes(65536), 0, 0, tensor + 8)


def test_numbers_that_would_kill_a_host_never_reach_it() -> None:
    old = abi_of(profiles.find("wamr-1.3-legacy"))
    assert old.encodings.deadly
    memory = bytearray(65536)
    struct.pack_into("<II", memory, 64, 128, 16)
    host = Host("load", SPEC, old)
    for encoding in (SPEC.encodings.numbers["autodetect"], 77, 0xFFFFFFFF):
        assert host.call(bytes(memory), 64, 1, encoding, 0, 32) == SPEC.errno["invalid_encoding"]
        assert host.args == ()
    assert host.call(bytes(memory), 64, 1, 4, 0, 32) == 0
    strict = Host("set_input", abi_of_era("spec-old"), abi_of(profiles.find("wasmtime-witx")))
    struct.pack_into("<IIBxxxII", memory, 64, 0, 0, 9, 128, 4)
    assert strict.call(bytes(memory), 0, 0, 64) == SPEC.errno["invalid_argument"]
    assert strict.args == ()


def test_an_encoding_can_become_another_by_name() -> None:
    speaker = Speaker(abi_of(profiles.find("lading-litert")), _SILENT | {"unload", "finalize_execution_context"})
    speaker.load(b"model", encoding="autodetect")
    host = profiles.find("wasmedge-0.17")
    plan = Plan(speaker.abi, abi_of(host), encodings={"autodetect": "tensorflowlite"}, targets={"gpu": "cpu"})
    adapted = adapt(speaker.module, plan)
    assert adapted.changes[0] == ("load", "encodings, targets of wasmedge-0.17")
    image = speaker.script.image()
    assert speak(adapted.module, host.resolved(), image, 1).errnos == [1], "the model is none: it was looked at"
    assert speak(speaker.module, host.resolved(), image, 1).errnos == [2]


def test_the_same_guest_gives_the_same_bytes_and_rewriting_is_done_once() -> None:
    host = abi_of(profiles.find("wamr-2.3-legacy"))
    speaker = Speaker(SPEC, _SILENT)
    once = adapt(speaker.module, Plan(SPEC, host))
    assert adapt(speaker.module, Plan(SPEC, host)) == once
    again = adapt(once.module, Plan(host, host))
    assert (again.module, again.changes) == (once.module, ())
    nothing = bytes(wasmtime.wat2wasm('(module (import "other" "load" (func)))'))
    assert adapt(nothing, Plan(SPEC, host)).module == nothing


def test_a_function_that_is_never_called_fails_instead_of_keeping_the_guest_away() -> None:
    plan = Plan(SPEC, abi_of(profiles.find("wamr-2.4")), uncalled=frozenset(("compute_single",)))
    text = """(module (import "wasi_ephemeral_nn" "compute_single" (func $f (param i32) (result i32)))
      (export "f" (func $f)) (memory 1))"""
    adapted = adapt(bytes(wasmtime.wat2wasm(text)), plan)
    assert adapted.changes == (("compute_single", "compute_single, which the guest imports and does not call, fails"),)
    store = wasmtime.Store()
    exports: Any = wasmtime.Instance(store, wasmtime.Module(store.engine, adapted.module), []).exports(store)
    assert exports["f"](store, 0) == SPEC.errno["unsupported_operation"]


def test_a_host_offers_the_same_under_several_names() -> None:
    text = """(module (import "wasi_nn_again" "compute" (func $f (param i32) (result i32)))
      (export "f" (func $f)) (memory 1))"""
    guest = bytes(wasmtime.wat2wasm(text))
    mine = replace(SPEC, aliases=frozenset(("wasi_nn_again",)))
    assert adapt(guest, Plan(mine, mine)).changes == ()
    adapted = adapt(guest, Plan(mine, abi_of(profiles.find("wasmedge-0.17"))))
    assert adapted.changes == (("compute", "imported from wasi_ephemeral_nn"),)
    assert [(i.module, i.name) for i in read_module(adapted.module).imports] == [("wasi_ephemeral_nn", "compute")]


@pytest.mark.parametrize("kind", ["tensor_types", "encodings"])
def test_a_host_that_has_no_number_for_what_is_needed_is_refused(kind: str) -> None:
    none = Enum({}, 0xFF)
    host = replace(LEGACY, tensor_types=none) if kind == "tensor_types" else replace(LEGACY, encodings=none)
    host = replace(host, refused=frozenset(("load_by_name",)))
    speaker = Speaker(SPEC, _SILENT - {"load_by_name"})
    conversion = Conversion("input", 0, "uint8", "float32", 1.0, 0, 4)
    with pytest.raises(NotAdaptable, match="has no"):
        adapt(speaker.module, Plan(SPEC, host, (conversion,), models={"m": b"model"}))
