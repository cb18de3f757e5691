"""Guests that speak any ABI: scripts of calls in it, run by a host in this process."""

from __future__ import annotations

import functools
import os
import struct
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wasmtime

from lading_agent.nn.decode import PARAMETERS
from lading_agent.nn.ends import RunEnds
from lading_agent.nn.engine import Engine
from lading_agent.nn.host import Host
from lading_agent.nn.models import Models
from lading_agent.nn.personality import Personality
from lading_agent.nn.places import Places
from lading_agent.nn.reporting import Phase, Report
from lading_agent.nn.state import HostState
from tests.support.script_guest import Script, wat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading.variants.guests.abi import Abi
    from lading_agent.runs.spec import ModelSpec


@functools.cache
def _assembled(functions: tuple[tuple[str, int], ...], module: str) -> bytes:
    return bytes(wasmtime.wat2wasm(wat(dict(functions), module)))


@dataclass
class Speaker:
    """Writes calls as a guest of one ABI makes them."""

    abi: Abi
    without: frozenset[str] = frozenset()
    script: Script = field(init=False)

    def __post_init__(self) -> None:
        wanted = sorted(self.abi.functions - self.without)
        parameters = PARAMETERS[self.abi.layout]
        self.script = Script({name: len(parameters[name]) for name in wanted}, self.abi.module)

    @property
    def module(self) -> bytes:
        """The guest."""
        return _assembled(tuple(self.script.functions.items()), self.abi.module)

    @property
    def _witx(self) -> bool:
        return self.abi.layout == "witx"

    def code(self, kind: str) -> int:
        """The number of a tensor type; one without a name where there is none."""
        return self.abi.tensor_types.numbers.get(kind, 200)

    def load(self, model: bytes, encoding: str = "tensorflowlite", target: str = "cpu", builders: int = 1) -> int:
        """Load from bytes; returns where the handle goes."""
        s = self.script
        handle = s.put(b"\xee" * 4)
        array = s.put(struct.pack("<II", s.put(model), len(model)) * max(builders, 1))
        numbers = (self.abi.encodings.numbers.get(encoding, 77), self.abi.targets.numbers.get(target, 77))
        if self._witx:
            s.call("load", array, builders, *numbers, handle)
        else:
            s.call("load", s.put(struct.pack("<II", array, builders)), *numbers, handle)
        return handle

    def init(self, graph: int = 0) -> int:
        """Make a context; returns where the handle goes."""
        return self.script.init(graph)

    def tensor(self, dims: Sequence[int], kind: str, data: bytes, length: int | None = None) -> int:
        """A tensor record."""
        if self._witx:
            return self.script.tensor(dims, self.code(kind), data, length=length)
        s = self.script
        shape = s.put(struct.pack("<II", s.put(struct.pack(f"<{len(dims)}I", *dims)), len(dims)))
        return s.put(struct.pack("<IB", shape, self.code(kind)) + b"\xff\xaa\x55" + struct.pack("<I", s.put(data)))

    def set_input(
        self,
        dims: Sequence[int],
        kind: str,
        data: bytes,
        *,
        context: int = 0,
        index: int = 0,
        length: int | None = None,
    ) -> None:
        """Set an input."""
        self.script.call("set_input", context, index, self.tensor(dims, kind, data, length))

    def compute(self, context: int = 0) -> None:
        """Run the model."""
        self.script.call("compute", context)

    def get_output(self, size: int, *, context: int = 0, index: int = 0, room: int | None = None) -> tuple[int, int]:
        """Ask for an output with room for so many bytes (``room``: another number is said); where data and size go."""
        s = self.script
        at, said = s.space(max(size, 4) + 16), size if room is None else room
        if self._witx:
            written = s.put(b"\xee" * 4)
            s.call("get_output", context, index, at, said if self.abi.size_unit == "bytes" else said // 4, written)
        else:
            written = s.put(struct.pack("<I", said if self.abi.wants_byte_size else said // 4))
            s.call("get_output", context, index, at, written)
        return at, written


@dataclass
class Spoken:
    """What came of a run."""

    errnos: list[int]
    memory: bytes
    """All that the guest knows of; empty when it did not reach its end."""
    end: str
    """Empty, or how the host ended the run."""


class _Quiet:
    """The interpreter writes where it wants."""

    def drain(self) -> None:
        """Nothing to hand over."""


@functools.cache
def engine(backend: str) -> Engine:
    """One interpreter for all runs."""
    return Engine(backend, 1)


@contextmanager
def _host(personality: Mapping[str, Any], models: tuple[ModelSpec, ...], names: Path | None = None) -> Iterator[Host]:
    compiled = Personality.from_json(personality)
    limits = compiled.limits
    state = HostState(graph_limit=limits.get("graphs") or 64, context_limit=limits.get("contexts") or 64)
    world = Models(engine(personality["backend"]), models, 1 << 26, places=Places(str(names or ""), ()))
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        yield Host(compiled, world, state, Report(sink), Phase(None), _Quiet())  # type: ignore[arg-type]
    finally:
        os.close(sink)


def speak(
    module: bytes, personality: Mapping[str, Any], image: bytes, count: int, models: tuple[ModelSpec, ...] = ()
) -> Spoken:
    """Run a script guest on a personality in this process.

    Args:
        module: the guest; it needs ``fd_read`` and ``fd_write`` of WASI and no more.
        personality: a resolved profile.
        image: what it reads on standard input.
        count: how many calls that is.
        models: what it can load by name.
    """
    with _host(personality, models) as host:
        said, end = _run(module, host, image)
    told = min(len(said) // 4, count)
    return Spoken(list(struct.unpack_from(f"<{told}i", said)), bytes(said[4 * count :]), end)


def _linker(store: wasmtime.Store, host: Host) -> wasmtime.Linker:
    linker = wasmtime.Linker(store.engine)
    host.attach(store)
    i32 = wasmtime.ValType.i32()
    for function, call in host.functions():
        kind = wasmtime.FuncType([i32] * len(function.params), [i32])
        for name in host.personality.modules:
            linker.define_func(name, function.name, kind, call, access_caller=True)
    return linker


def run_program(
    module: bytes,
    personality: Mapping[str, Any],
    args: Sequence[str] = (),
    *,
    folder: Path | None = None,
    guest_folder: str = ".",
    models: tuple[ModelSpec, ...] = (),
    names: Path | None = None,
) -> tuple[bytes, str]:
    """Run a program for WASI on a personality in this process; what it said, and how it ended.

    Args:
        module: the guest.
        personality: a resolved profile.
        args: its arguments.
        folder: a folder that it finds open.
        guest_folder: what it calls that folder.
        models: what it can load by name.
        names: where a host finds models that takes names for paths.
    """
    with _host(personality, models, names) as host, tempfile.TemporaryDirectory() as scratch:
        store = wasmtime.Store(wasmtime.Engine())
        linker = _linker(store, host)
        linker.define_wasi()
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["guest", *args]
        said = Path(scratch, "said")
        said.touch()
        wasi.stdout_file = str(said)
        if folder is not None:
            wasi.preopen_dir(str(folder), guest_folder)
        store.set_wasi(wasi)
        end = "exit 0"
        try:
            exports = linker.instantiate(store, wasmtime.Module(store.engine, module)).exports(store)
            exports["_start"](store)  # type: ignore[operator]
        except RunEnds as ended:
            end = ended.end.outcome
        except wasmtime.ExitTrap as left:
            end = f"exit {left.code}"
        except wasmtime.Trap:
            end = "trap"
        return said.read_bytes(), end


def _run(module: bytes, host: Host, image: bytes) -> tuple[bytearray, str]:
    store = wasmtime.Store(wasmtime.Engine())
    linker = _linker(store, host)
    i32 = wasmtime.ValType.i32()
    said, rest = bytearray(), [image]

    def vectors(caller: Any, at: int, n: int) -> tuple[Any, list[tuple[int, int]]]:
        memory = caller.get("memory")
        return memory, [struct.unpack("<II", memory.read(caller, at + 8 * i, at + 8 * i + 8)) for i in range(n)]

    def read(caller: Any, fd: int, at: int, n: int, out: int) -> int:
        memory, pieces = vectors(caller, at, n)
        taken, rest[0] = rest[0][: pieces[0][1]], rest[0][pieces[0][1] :]
        memory.write(caller, taken, pieces[0][0])
        memory.write(caller, struct.pack("<I", len(taken)), out)
        return 0

    def write(caller: Any, fd: int, at: int, n: int, out: int) -> int:
        memory, pieces = vectors(caller, at, n)
        for where, size in pieces:
            said.extend(memory.read(caller, where, where + size))
        memory.write(caller, struct.pack("<I", sum(size for _, size in pieces)), out)
        return 0

    four = wasmtime.FuncType([i32] * 4, [i32])
    linker.define_func("wasi_snapshot_preview1", "fd_read", four, read, access_caller=True)
    linker.define_func("wasi_snapshot_preview1", "fd_write", four, write, access_caller=True)
    instance = linker.instantiate(store, wasmtime.Module(store.engine, module))
    try:
        instance.exports(store)["_start"](store)  # type: ignore[operator]
    except RunEnds as ended:
        return said, ended.end.outcome
    except wasmtime.Trap:
        return said, "trap"
    return said, ""
