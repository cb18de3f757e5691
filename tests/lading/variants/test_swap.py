"""Another model takes the place of the one whose bytes a guest hands over, and of no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from lading.errors import NotAdaptable
from lading.variants.guests.abi import abi_of_era
from lading.variants.swap import MULTIPLIER, sum_of, swap

if TYPE_CHECKING:
    from collections.abc import Sequence

ORIGINAL = bytes(range(256)) * 300
OTHER = b"the other model" * 7000
GUEST = """(module
  (import "wasi_ephemeral_nn" "load" (func $load (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 3 20)
  (func (export "load") (param i32 i32) (result i32)
    (i32.store (i32.const 8) (local.get 0)) (i32.store (i32.const 12) (local.get 1))
    (call $load (i32.const 8) (i32.const 1) (i32.const 4) (i32.const 0) (i32.const 16)))
  (func (export "load_raw") (param i32 i32) (result i32)
    (call $load (local.get 0) (local.get 1) (i32.const 4) (i32.const 0) (i32.const 16)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "size") (result i32) (memory.size)))"""


class Instance:
    """A guest with a host that writes down which bytes it was given."""

    def __init__(self, module: bytes) -> None:
        self.given: list[Any] = []
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        linker = wasmtime.Linker(engine)
        i32 = wasmtime.ValType.i32()
        kind = wasmtime.FuncType([i32] * 5, [i32])
        linker.define_func("wasi_ephemeral_nn", "load", kind, self._load)
        instance = linker.instantiate(self.store, wasmtime.Module(engine, module))
        self.exports = instance.exports(self.store)

    def _load(self, builders: int, count: int, *_: int) -> int:
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        if count != 1 or not 0 <= builders <= memory.data_len(self.store) - 8:
            self.given.append((builders, count))
            return 1
        at, size = (int.from_bytes(memory.read(self.store, builders + n, builders + n + 4), "little") for n in (0, 4))
        self.given.append(bytes(memory.read(self.store, at, at + size)))
        return 0

    def call(self, name: str, *arguments: int) -> int:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        return int(function(self.store, *arguments))

    def load(self, data: bytes, at: int = 1024) -> bytes:
        """Hand over a model's bytes; what the host got."""
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        memory.write(self.store, data, at)
        assert self.call("load", at, len(data)) == 0
        found = self.given[-1]
        assert isinstance(found, bytes)
        return found


def swapped(models: Sequence[tuple[bytes, bytes]] = ((ORIGINAL, OTHER),)) -> Instance:
    return Instance(swap(bytes(wasmtime.wat2wasm(GUEST)), models, abi_of_era("spec-new")))


def test_the_known_bytes_are_taken_for_the_other_model_and_no_others_are() -> None:
    guest = swapped()
    assert guest.load(ORIGINAL) == OTHER
    assert guest.load(ORIGINAL[:-1] + b"\0") == ORIGINAL[:-1] + b"\0"
    assert guest.load(ORIGINAL[:-1]) == ORIGINAL[:-1]
    assert guest.load(b"") == b""
    assert guest.load(ORIGINAL, at=4096) == OTHER


def test_several_models_each_have_their_own() -> None:
    guest = swapped(((b"one", b"first"), (b"two", b"second"), (ORIGINAL, OTHER)))
    assert [guest.load(data) for data in (b"two", b"one", b"six", ORIGINAL)] == [b"second", b"first", b"six", OTHER]


def test_what_the_guest_sees_of_its_memory_is_as_it_was() -> None:
    guest = swapped()
    assert guest.call("size") == 3
    assert guest.call("grow", 4) == 3
    assert guest.call("size") == 7
    assert guest.load(ORIGINAL, at=5 * 65536) == OTHER
    assert guest.call("grow", 13) == 7
    assert guest.call("grow", 1) == -1
    assert guest.load(ORIGINAL) == OTHER


@pytest.mark.parametrize("call", [(0xFFFFFFFC, 1), (0xFFFF0000, 1), (0, 0), (0, 3), (0x7FFFFFFF, 2)])
def test_calls_that_point_nowhere_go_to_the_host_as_they_are(call: tuple[int, int]) -> None:
    guest = swapped()
    at, count = (n - 2**32 if n >= 2**31 else n for n in call)
    guest.call("load_raw", at, count)
    assert guest.given == [(at, count)]


def test_a_guest_without_load_is_refused() -> None:
    module = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1))'))
    with pytest.raises(NotAdaptable, match="no load"):
        swap(module, ((ORIGINAL, OTHER),), abi_of_era("spec-new"))
    imported = """(module (import "e" "m" (memory 1))
      (import "wasi_ephemeral_nn" "load" (func (param i32 i32 i32 i32 i32) (result i32))))"""
    with pytest.raises(NotAdaptable, match="no plain memory of its own"):
        swap(bytes(wasmtime.wat2wasm(imported)), ((ORIGINAL, OTHER),), abi_of_era("spec-new"))


@given(st.binary(max_size=200), st.sampled_from([0, 1, (1 << 20) - 3, (1 << 20) + 5]))
@settings(deadline=None, max_examples=30)
def test_the_sum_is_the_one_that_the_guest_computes(data: bytes, padding: int) -> None:
    expected = 0
    for byte in data:
        expected = (expected * MULTIPLIER + byte) % 2**64
    assert sum_of(data) == expected
    expected = expected * pow(MULTIPLIER, padding, 2**64) % 2**64
    assert sum_of(data + bytes(padding)) == expected
