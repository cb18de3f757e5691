"""Tensor data that the guest has in one type and the host in another."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st

from lading import profiles
from lading.errors import NotAdaptable
from lading.variants.guests.abi import Conversion, Plan, abi_of
from lading.variants.guests.adapt import adapt
from lading_agent.nn.facts import TensorFacts, read_model
from lading_agent.nn.tensors import quantized
from tests.support.script_guest import model
from tests.support.speakers import Speaker, speak

FLOAT_HOSTS = ("wamr-2.4", "wamr-2.3", "wamr-1.3-legacy", "wamr-2.3-legacy", "wamr-2.4-legacy", "wamr-main-legacy")
"""They take f32 for a uint8 model, and give f32; some cut off where others round."""
BYTE_HOSTS = ("lading-litert", "wasmedge-0.14", "wasmedge-0.17", "wamr-main")
_SIX = frozenset(("load_by_name_with_config", "compute_single", "get_output_single", "fini_single", "unload"))
_SILENT = _SIX | {"load_by_name", "finalize_execution_context"}
IMAGE = bytes((i * 37) % 256 for i in range(64))


def _tensor(tensor: TensorFacts) -> dict[str, Any]:
    return {"scale": tensor.scale, "zero_point": tensor.zero_point, "count": tensor.count}


def _quantized(guest: str, host: str, *, nudge: float = 0.0) -> tuple[Conversion, ...]:
    facts = read_model(model("digits_uint8"))
    return (
        Conversion("input", 0, guest, host, **_tensor(facts.inputs[0]), nudge=nudge),  # type: ignore[arg-type]
        Conversion("output", 0, guest, host, **_tensor(facts.outputs[0])),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("own", BYTE_HOSTS)
@pytest.mark.parametrize("other", FLOAT_HOSTS)
def test_bytes_of_a_quantized_model_reach_a_host_that_takes_floats_only(own: str, other: str) -> None:
    mine, theirs = profiles.find(own), profiles.find(other)
    speaker = Speaker(abi_of(mine), _SILENT)
    speaker.load(model("digits_uint8"))
    speaker.init()
    speaker.set_input((1, 8, 8, 1), "u8", IMAGE)
    speaker.compute()
    places = [speaker.get_output(10), speaker.get_output(1001), speaker.get_output(9)]
    speaker.set_input((1, 8, 8, 1), "f32", bytes(256))
    speaker.set_input((1, 8, 8, 1), "u8", bytes(63))
    image, count = speaker.script.image(), len(speaker.script.calls)
    before = speak(speaker.module, mine.resolved(), image, count)
    conversions = _quantized("uint8", "float32", nudge=0.25)
    adapted = adapt(speaker.module, Plan(abi_of(mine), abi_of(theirs), conversions))
    after = speak(adapted.module, theirs.resolved(), image, count)
    assert [bool(e) for e in after.errnos] == [False] * 6 + [True] * 3
    assert after.errnos == before.errnos
    for at, written in places[:2]:
        assert struct.unpack_from("<I", after.memory, written) == (10,)
        assert after.memory[at : at + 10] == before.memory[at : at + 10]
    assert after.memory == before.memory
    assert ("input 0", "uint8 of the guest, float32 of the host") in adapted.changes


@pytest.mark.parametrize("own", FLOAT_HOSTS)
@pytest.mark.parametrize("other", BYTE_HOSTS)
def test_floats_reach_a_host_that_takes_the_quantized_bytes(own: str, other: str) -> None:
    mine, theirs = profiles.find(own), profiles.find(other)
    tensor = read_model(model("digits_uint8")).inputs[0]
    steps = np.frombuffer(IMAGE, np.uint8).astype(np.float32) - np.float32(tensor.zero_point) + np.float32(0.25)
    floats = (steps * np.float32(tensor.scale)).astype("<f4").tobytes()
    speaker = Speaker(abi_of(mine), _SILENT)
    speaker.load(model("digits_uint8"))
    speaker.init()
    speaker.set_input((1, 8, 8, 1), "f32", floats)
    speaker.compute()
    places = [speaker.get_output(40), speaker.get_output(400), speaker.get_output(8)]
    image, count = speaker.script.image(), len(speaker.script.calls)
    before = speak(speaker.module, mine.resolved(), image, count)
    adapted = adapt(speaker.module, Plan(abi_of(mine), abi_of(theirs), _quantized("float32", "uint8")))
    after = speak(adapted.module, theirs.resolved(), image, count)
    assert after.errnos == before.errnos
    for at, _ in places:
        assert after.memory[at : at + 40] == before.memory[at : at + 40]
    assert after.memory == before.memory


class Listener:
    """A host that writes down what it is given, and gives what it is told."""

    def __init__(self, module: bytes) -> None:
        self.given = b""
        self.gives = b""
        self.store = wasmtime.Store()
        i32 = wasmtime.ValType.i32()
        linker = wasmtime.Linker(self.store.engine)
        three, five = (wasmtime.FuncType([i32] * n, [i32]) for n in (3, 5))
        linker.define_func("wasi_ephemeral_nn", "set_input", three, self._set_input, access_caller=True)
        linker.define_func("wasi_ephemeral_nn", "get_output", five, self._get_output, access_caller=True)
        exports = linker.instantiate(self.store, wasmtime.Module(self.store.engine, module)).exports(self.store)
        self.memory: Any = exports["memory"]
        self._call: Any = {name: exports[name] for name in ("set", "get", "size", "grow")}

    def _set_input(self, caller: Any, context: int, index: int, tensor: int) -> int:
        record = struct.unpack("<IIBxxxII", self.memory.read(caller, tensor, tensor + 20))
        self.given = bytes(self.memory.read(caller, record[3], record[3] + record[4]))
        return 0

    def _get_output(self, caller: Any, context: int, index: int, at: int, room: int, written: int) -> int:
        self.memory.write(caller, self.gives, at)
        self.memory.write(caller, struct.pack("<I", len(self.gives)), written)
        return 0

    def call(self, name: str, *args: int) -> int:
        return int(self._call[name](self.store, *args))


_WAT = """(module
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output" (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "set") (param i32 i32 i32) (result i32)
    (call $set (local.get 0) (local.get 1) (local.get 2)))
  (func (export "get") (param i32 i32 i32 i32 i32) (result i32)
    (call $get (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)))
  (func (export "size") (result i32) (memory.size))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""
_LITERT = abi_of(profiles.shipped("lading-litert"))
_scales = st.floats(2.0**-20, 2.0**10, width=32)
_dtypes = st.sampled_from(["uint8", "int8"])


def _listener(*conversions: Conversion) -> Listener:
    return Listener(adapt(bytes(wasmtime.wat2wasm(_WAT)), Plan(_LITERT, _LITERT, conversions)).module)


def _facts(dtype: str, scale: float, zero_point: int) -> TensorFacts:
    return TensorFacts("t", dtype, (1,), (1,), 1, scale, zero_point)


@given(st.lists(st.floats(width=32), min_size=1, max_size=40), _dtypes, _scales, st.integers(0, 127))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_floats_become_integers_as_the_reference_rounds_them(
    values: list[float], dtype: str, scale: float, zero_point: int
) -> None:
    n = len(values)
    host = _listener(
        Conversion("input", 0, "float32", dtype, scale, zero_point, n),  # type: ignore[arg-type]
        Conversion("output", 0, dtype, "float32", scale, zero_point, n),  # type: ignore[arg-type]
    )
    floats = np.array(values, dtype="<f4")
    wanted = quantized(floats, _facts(dtype, scale, zero_point), np.dtype(dtype)).tobytes()
    host.memory.write(host.store, struct.pack("<IIB3xII", 64, 0, 1, 1024, 4 * n), 32)
    host.memory.write(host.store, floats.tobytes(), 1024)
    before = bytes(host.memory.read(host.store, 0, 65536))
    assert host.call("set", 0, 0, 32) == 0
    assert host.given == wanted
    assert bytes(host.memory.read(host.store, 0, 65536)) == before
    host.gives = floats.tobytes()
    assert host.call("get", 0, 0, 4096, 1000, 16) == 0
    assert bytes(host.memory.read(host.store, 4096, 4096 + n + 1)) == wanted + b"\0"
    assert bytes(host.memory.read(host.store, 16, 20)) == struct.pack("<I", n)


@given(st.binary(min_size=1, max_size=60), _dtypes, _scales, st.integers(0, 127))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_integers_become_floats_as_the_reference_does_it(
    data: bytes, dtype: str, scale: float, zero_point: int
) -> None:
    n = len(data)
    host = _listener(
        Conversion("input", 0, dtype, "float32", scale, zero_point, n),  # type: ignore[arg-type]
        Conversion("output", 0, "float32", dtype, scale, zero_point, n),  # type: ignore[arg-type]
    )
    values = np.frombuffer(data, dtype)
    wanted = ((values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)).astype("<f4").tobytes()
    host.memory.write(host.store, struct.pack("<IIB3xII", 64, 0, 3, 1024, n), 32)
    host.memory.write(host.store, data, 1024)
    assert host.call("set", 0, 0, 32) == 0
    assert host.given == wanted
    host.gives = data
    assert host.call("get", 0, 0, 4096, 1000, 16) == 0
    assert bytes(host.memory.read(host.store, 4096, 4096 + 4 * n)) == wanted


@given(st.binary(min_size=1, max_size=60), st.booleans())
@settings(max_examples=20, deadline=None, derandomize=True)
def test_signed_and_unsigned_integers_are_128_apart(data: bytes, signed: bool) -> None:
    kinds = ("int8", "uint8") if signed else ("uint8", "int8")
    host = _listener(
        Conversion("input", 0, *kinds, 0.5, 0, len(data)),  # type: ignore[arg-type]
        Conversion("output", 0, *kinds, 0.5, 0, len(data)),  # type: ignore[arg-type]
    )
    host.memory.write(host.store, struct.pack("<IIB3xII", 64, 0, 3, 1024, len(data)), 32)
    host.memory.write(host.store, data, 1024)
    assert host.call("set", 0, 0, 32) == 0
    wanted = (np.frombuffer(data, kinds[0]).astype(np.int16) + (128 if signed else -128)).astype(kinds[1])
    assert host.given == wanted.tobytes()
    host.gives = host.given
    assert host.call("get", 0, 0, 4096, 1000, 16) == 0
    assert bytes(host.memory.read(host.store, 4096, 4096 + len(data))) == data


def test_the_guest_does_not_see_the_pages_that_converted_data_needs() -> None:
    host = _listener(Conversion("input", 0, "uint8", "float32", 0.5, 0, 20_000))
    data = bytes(i * 7 % 256 for i in range(20_000))
    for pages in (1, 2, 5, 14):
        assert host.call("size") == pages
        host.memory.write(host.store, data, 1024)
        host.memory.write(host.store, struct.pack("<IIB3xII", 64, 0, 3, 1024, len(data)), 32)
        assert host.call("set", 0, 0, 32) == 0
        assert host.given == (np.frombuffer(data, np.uint8) * np.float32(0.5)).tobytes()
        assert host.call("grow", 0) == pages
        assert host.call("grow", pages * 2 - 1 if pages > 1 else 1) == pages
        grown = bytes(host.memory.read(host.store, pages * 65536, host.call("size") * 65536))
        assert grown == bytes(len(grown))
    assert host.call("grow", 65536) == -1
    assert host.memory.size(host.store) == host.call("size") + 2


def test_a_tensor_that_lies_outside_of_memory_is_the_hosts_business() -> None:
    host = _listener(Conversion("input", 0, "uint8", "float32", 0.5, 0, 4))
    with pytest.raises(struct.error):
        host.call("set", 0, 0, 0x7FFFFFF0)  # this host reads it without a look


@pytest.mark.parametrize(
    "conversion",
    [
        Conversion("input", 0, "uint8", "uint8", 1.0, 0, 1),
        Conversion("input", 0, "int16", "float32", 1.0, 0, 1),  # type: ignore[arg-type]
        Conversion("output", 0, "uint8", "float32", 0.0, 0, 1),
        Conversion("output", 0, "uint8", "float32", float("nan"), 0, 1),
        Conversion("output", 0, "uint8", "float32", 1.0, 256, 1),
        Conversion("output", 0, "uint8", "float32", 1.0, 0, 0),
        Conversion("output", -1, "uint8", "float32", 1.0, 0, 1),
    ],
)
def test_what_cannot_be_converted_is_refused(conversion: Conversion) -> None:
    with pytest.raises(NotAdaptable):
        _listener(conversion)
