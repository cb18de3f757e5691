"""The inference engine alone, in a process of its own: copy in, run, copy out, as a guest does it, without any guest.

``python -m scripts.benchmarks.bare_engine LIBRARY MODEL ROUNDS`` prints the median of a cycle in seconds. The library
is the one that the native runner loads, with the same options.
"""

from __future__ import annotations

import ctypes
import statistics
import sys
import time
from pathlib import Path
from typing import Any

CPU = 1
MOST_RANK = 8


class Value(ctypes.Structure):
    _fields_ = (("type", ctypes.c_int), ("integer", ctypes.c_int64))


class Option(ctypes.Structure):
    _fields_ = (("tag", ctypes.c_int), ("value", Value))


class Ranked(ctypes.Structure):
    _fields_ = (
        ("element", ctypes.c_int),
        ("rank", ctypes.c_uint32),
        ("dimensions", ctypes.c_int32 * MOST_RANK),
        ("strides", ctypes.c_uint32 * MOST_RANK),
    )


class Engine:
    """A model with one input and one output, ready to run."""

    def __init__(self, library: Path, model: Path) -> None:
        self._library = ctypes.CDLL(str(library))
        self._keep: list[Any] = []
        options = (Option * 2)(Option(24, Value(2, CPU)), Option(25, Value(2, 2)))
        environment = self._made("CreateEnvironment", 2, options)
        data = model.read_bytes()
        self._keep.append(data)
        loaded = self._made("CreateModelFromBuffer", environment, ctypes.c_char_p(data), ctypes.c_size_t(len(data)))
        self._compiled = self._made("CreateCompiledModel", environment, loaded, self._options())
        signature = self._made("GetModelSignature", loaded, ctypes.c_size_t(0))
        self.given, self._input = self._buffer(signature, "Input")
        self.taken, self._output = self._buffer(signature, "Output")

    def cycle(self) -> None:
        """Copy in, run, copy out."""
        given, taken = self.given, self.taken
        ctypes.memmove(given[0], given[1], len(given[1]))
        self._call(
            "RunCompiledModel",
            self._compiled,
            ctypes.c_size_t(0),
            ctypes.c_size_t(1),
            ctypes.byref(self._input),
            ctypes.c_size_t(1),
            ctypes.byref(self._output),
        )
        ctypes.memmove(taken[1], taken[0], len(taken[1]))

    def _options(self) -> ctypes.c_void_p:
        options = self._made("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, CPU)
        threads = ctypes.create_string_buffer(b"num_threads = 1\n")
        release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)
        self._keep += [threads, release]
        opaque = self._made("CreateOpaqueOptions", b"xnnpack", threads, release)
        self._call("AddOpaqueOptions", options, opaque)
        return options

    def _buffer(self, signature: ctypes.c_void_p, side: str) -> tuple[tuple[int, Any], ctypes.c_void_p]:
        first = ctypes.c_size_t(0)
        tensor = self._made(f"GetSignature{side}TensorByIndex", signature, first)
        ranked = Ranked()
        self._call("GetRankedTensorType", tensor, ctypes.byref(ranked))
        for i in range(ranked.rank & 127):
            ranked.dimensions[i] = max(1, ranked.dimensions[i])
        needed = self._made(f"GetCompiledModel{side}BufferRequirements", self._compiled, first, first)
        size = ctypes.c_size_t()
        self._call("GetTensorBufferRequirementsBufferSize", needed, ctypes.byref(size))
        memory = ctypes.create_string_buffer(size.value + 512)
        at = (ctypes.addressof(memory) + 63) // 64 * 64
        self._keep.append(memory)
        buffer = self._made(
            "CreateTensorBufferFromHostMemory", ctypes.byref(ranked), ctypes.c_void_p(at), size, ctypes.c_void_p()
        )
        return (at, ctypes.create_string_buffer(size.value)), buffer

    def _made(self, name: str, *words: object) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(name, *words, ctypes.byref(handle))
        return handle

    def _call(self, name: str, *words: object) -> None:
        status = getattr(self._library, f"LiteRt{name}")(*words)
        if status:
            raise SystemExit(f"LiteRt{name}: status {status}")


def main(library: Path, model: Path, rounds: int) -> None:
    engine = Engine(library, model)
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        engine.cycle()
        times.append(time.perf_counter() - start)
    print(statistics.median(times[rounds // 10 :]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
