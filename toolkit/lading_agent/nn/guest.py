"""One guest in one wasm engine: reading the module, linking it, running it, and saying how it ended."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Protocol, Tuple

from lading_agent.nn.ends import End, GuestExit, RunEnds
from lading_agent.nn.link import WASI_PREVIEW1, Import, problems

if TYPE_CHECKING:
    from lading_agent.nn.personality import HostFunction, Personality
    from lading_agent.runs.spec import RunSpec

PAGE = 65536
IN_THE_GUEST = "error while executing at wasm backtrace"
"""How the engine begins an error that is the guest's own doing and yet no trap to it."""
WASI = "wasi_snapshot_preview1"
CORE = b"\0asm\x01\0\0\0"
COMPONENT = b"\0asm\x0d\0\x01\0"

FEATURES = {
    "threads": "wasm_threads",
    "tail-call": "wasm_tail_call",
    "reference-types": "wasm_reference_types",
    "simd": "wasm_simd",
    "bulk-memory": "wasm_bulk_memory",
    "multi-value": "wasm_multi_value",
    "multi-memory": "wasm_multi_memory",
    "memory64": "wasm_memory64",
    "relaxed-simd": "wasm_relaxed_simd",
    "function-references": "wasm_function_references",
    "gc": "wasm_gc",
}
"""Names in profiles to the engine's switches."""

_NEEDS = (
    ("relaxed-simd", "simd"),
    ("function-references", "reference-types"),
    ("gc", "function-references"),
)
"""Features that are nothing without another one, in the order of what follows."""


class Hosting(Protocol):
    """What a guest needs of its wasi-nn host."""

    def attach(self, store: Any) -> None:
        """The store in which the guest will run."""

    def memory_size(self) -> int:
        """Bytes of guest memory now; 0 when none is known."""

    def functions(self) -> List[Tuple[HostFunction, Callable[..., int]]]:
        """Each function with the Python callable that implements it; the engine passes the caller first."""

    def at_exit(self) -> None:
        """The guest has ended by itself."""


class Guest:
    """A module made ready to run."""

    def __init__(self, spec: RunSpec, personality: Personality, host: Hosting, stderr_fd: int) -> None:
        self._spec = spec
        self._personality = personality
        self._host = host
        self._stderr_fd = stderr_fd

    def run(self) -> End:
        """Run it to its end, whatever that is."""
        import wasmtime

        try:
            end = self._to_its_end(wasmtime)
            if end.outcome in ("exit", "trap"):
                self._host.at_exit()
        except RunEnds as ended:
            return ended.end
        except MemoryError:
            return End(
                "failed", 125, "out-of-memory", "the host ran out of memory", "raise the memory limit (--max-memory)"
            )
        return end

    def _to_its_end(self, wasmtime: Any) -> End:
        try:
            return End("exit", self._run(wasmtime), "exit")
        except RunEnds as ended:
            return ended.end

    def _run(self, wasmtime: Any) -> int:
        engine = wasmtime.Engine(self._config(wasmtime))
        module = self._module(wasmtime, engine)
        store = wasmtime.Store(engine)
        limit = self._spec.limits.memory_bytes
        if limit is not None:
            store.set_limits(memory_size=limit)
        store.set_wasi(self._wasi(wasmtime))
        self._host.attach(store)
        linker = self._linker(wasmtime, engine)
        self._alias_wasi(store, module, linker)
        self._check_link(wasmtime, module, linker)
        self._check_shape(wasmtime, module, limit)
        size: Callable[[], int] = self._host.memory_size
        try:
            exports = linker.instantiate(store, module).exports(store)
            memory = exports.get("memory")
            if isinstance(memory, wasmtime.Memory):
                size = partial(memory.data_len, store)
            exports["_start"](store)
        except GuestExit as exited:
            return exited.code if 0 <= exited.code <= 255 else exited.code & 0xFF
        except wasmtime.ExitTrap as exited:
            return int(exited.code) & 0xFF
        except wasmtime.Trap as trap:
            raise RunEnds(self._trapped(trap, size())) from trap
        except wasmtime.WasmtimeError as error:
            raise RunEnds(self._failed(str(error))) from error
        return 0

    def _config(self, wasmtime: Any) -> Any:
        config = wasmtime.Config()
        taken = dict(self._personality.wasm_features)
        for feature, needed in _NEEDS:
            if not taken.get(needed, True):
                taken[feature] = False  # the engine panics otherwise
        for feature, switch in FEATURES.items():
            if feature in taken:
                setattr(config, switch, taken[feature])
        if not taken.get("reference-types", True):
            _no_components(config)
        return config

    def _module(self, wasmtime: Any, engine: Any) -> Any:
        try:
            data = Path(self._spec.module).read_bytes()
        except OSError as error:
            raise RunEnds(
                End("not-loadable", self._status("not_loadable"), "not-loadable", f"the module cannot be read: {error}")
            ) from error
        if data.startswith(COMPONENT):
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("not_loadable"),
                    "not-loadable",
                    "this is a WebAssembly component; this host runs core modules that import wasi_ephemeral_nn",
                    "build the guest for wasm32-wasip1 (a core module)",
                )
            )
        if not data.startswith(CORE):
            what = (
                "a WebAssembly module of another version" if data.startswith(b"\0asm") else "not a WebAssembly module"
            )
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("invalid_module"),
                    "invalid-module",
                    f"the file is {what}",
                    "give a .wasm file",
                )
            )
        try:
            return wasmtime.Module(engine, data)
        except wasmtime.WasmtimeError as error:
            text = " ".join(str(error).split())
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("invalid_module"),
                    "invalid-module",
                    f"the module is not valid on {self._personality.id}: {text[:500]}",
                    "build it without the feature named, or is the file damaged?",
                )
            ) from error

    def _wasi(self, wasmtime: Any) -> Any:
        spec = self._spec
        wasi = wasmtime.WasiConfig()
        wasi.argv = [Path(spec.module).name, *spec.args]
        wasi.env = list(spec.env.items())
        wasi.inherit_stdin()
        wasi.inherit_stdout()
        wasi.stderr_custom = self._write_stderr
        for opened in spec.dirs:
            try:
                wasi.preopen_dir(opened.host, opened.guest, opened.writable)
            except wasmtime.WasmtimeError as error:
                raise RunEnds(
                    End(
                        "failed",
                        125,
                        "no-directory",
                        f"the directory {opened.host} cannot be opened for the guest: {error}",
                    )
                ) from error
        return wasi

    def _write_stderr(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._stderr_fd, view) :]
            except OSError:
                return -1
        return len(data)

    def _linker(self, wasmtime: Any, engine: Any) -> Any:
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        linker.allow_shadowing = True
        self._define_exit(wasmtime, linker)
        i32 = wasmtime.ValType.i32()
        for function, implementation in self._host.functions():
            kind = wasmtime.FuncType([i32] * len(function.params), [i32])
            for module in self._personality.modules:
                linker.define_func(module, function.name, kind, implementation, access_caller=True)
        return linker

    def _define_exit(self, wasmtime: Any, linker: Any) -> None:
        kind = wasmtime.FuncType([wasmtime.ValType.i32()], [])
        for module in self._personality.wasi_modules:
            linker.define_func(module, "proc_exit", kind, _proc_exit)

    def _alias_wasi(self, store: Any, module: Any, linker: Any) -> None:
        """Serve WASI under the profile's other names for it: the engine knows one only."""
        for wanted in module.imports:
            name = wanted.name or ""
            if wanted.module == WASI or wanted.module not in self._personality.wasi_modules:
                continue
            if name in WASI_PREVIEW1 and name != "proc_exit":
                linker.define(store, wanted.module, name, linker.get(store, WASI, name))

    def _check_link(self, wasmtime: Any, module: Any, linker: Any) -> None:
        wanted = list(module.imports)
        for index, problem in problems(self._personality, [_import(i) for i in wanted]):
            if problem.outcome == "link-error":
                raise RunEnds(
                    End(
                        "link-error",
                        self._status("link_error"),
                        "link-error",
                        problem.reason,
                        "choose a firmware that has it, or build the guest without it",
                    )
                )
            kind = wanted[index].type
            if not isinstance(kind, wasmtime.FuncType):
                raise RunEnds(
                    End(
                        "not-loadable",
                        self._status("not_loadable"),
                        "not-loadable",
                        problem.reason,
                        "choose a firmware that has it, or build the guest without it",
                    )
                )
            linker.define_func(problem.module, problem.name, kind, partial(self._unlinked, problem.reason))

    def _unlinked(self, reason: str, *_: Any) -> None:
        raise RunEnds(End("trap", self._status("trap"), "trap", f"the guest called what is not linked: {reason}"))

    def _check_shape(self, wasmtime: Any, module: Any, limit: Optional[int]) -> None:
        exports: Dict[str, Any] = {e.name: e.type for e in module.exports}
        if not isinstance(exports.get("_start"), wasmtime.FuncType):
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("not_loadable"),
                    "not-loadable",
                    "the module exports no function _start: it is a library (a reactor), not a program",
                    "build the guest as a command (with main)",
                )
            )
        if exports["_start"].params:
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("not_loadable"),
                    "not-loadable",
                    "the module's function _start takes parameters: it is not a program's",
                    "build the guest as a command (with main)",
                )
            )
        memory = exports.get("memory")
        if not isinstance(memory, wasmtime.MemoryType):
            return
        if memory.is_64 or memory.is_shared:
            kind = "64-bit" if memory.is_64 else "shared"
            raise RunEnds(
                End(
                    "not-loadable",
                    self._status("not_loadable"),
                    "not-loadable",
                    f"the module's memory is {kind}: wasi-nn passes 32-bit pointers into one unshared memory",
                    "build the guest for wasm32 without threads",
                )
            )
        if limit is not None and memory.limits.min * PAGE > limit:
            raise RunEnds(_memory_limit(f"the module begins with {memory.limits.min * PAGE} bytes of memory", limit))

    def _trapped(self, trap: Any, size: int) -> End:
        text = _trap_text(trap)
        limit = self._spec.limits.memory_bytes
        if limit is not None and (size * 10 >= limit * 9 or (size * 2 >= limit and "unreachable" in text)):
            return _memory_limit(f"the guest trapped ({text}) with {size} bytes of memory", limit)
        return End("trap", self._status("trap"), "trap", text)

    def _failed(self, text: str) -> End:
        limit = self._spec.limits.memory_bytes
        if limit is not None and "memory" in text and "limit" in text:
            return _memory_limit("the module needs more memory at its start", limit)
        if "out of memory" in text:
            return End(
                "failed",
                125,
                "out-of-memory",
                f"the wasm engine is out of memory: {' '.join(text.split())[:300]}",
                "raise the memory limit (--max-memory), or make the guest use less",
            )
        if text.startswith(IN_THE_GUEST):  # what the guest asked of WASI was more than a host gives anybody
            return End("trap", self._status("trap"), "trap", re.sub(r"^\d+: ", "", text.splitlines()[-1].strip())[:500])
        return End("failed", 125, "engine-failed", " ".join(text.split())[:500])

    def _status(self, kind: str) -> int:
        return self._personality.status(kind)


def _no_components(config: Any) -> None:
    """Components need reference types: the engine panics when they stay. Older engines have no such switch."""
    from wasmtime import _bindings

    for name in ("wasm_component_model_async", "wasm_component_model"):
        switch = getattr(_bindings, f"wasmtime_config_{name}_set", None)
        if switch is not None:
            switch(config.ptr(), False)


def _memory_limit(what: str, limit: int) -> End:
    return End(
        "failed",
        125,
        "memory-limit",
        f"{what}, the limit is {limit}",
        "raise the limit (--max-memory, or memory in lading.toml), or make the guest use less",
    )


def _proc_exit(code: int) -> None:
    raise GuestExit(code & 0xFFFFFFFF)


def _import(wanted: Any) -> Import:
    import wasmtime

    kind = wanted.type
    name = wanted.name or ""
    if isinstance(kind, wasmtime.FuncType):
        return Import(wanted.module, name, tuple(map(str, kind.params)), tuple(map(str, kind.results)))
    return Import(wanted.module, name, None, None)


def _trap_text(trap: Any) -> str:
    lines: List[str] = [line.strip() for line in str(trap).splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith(("wasm trap:", "0: wasm trap:", "1: wasm trap:"))]
    found = causes[-1] if causes else (lines[-1] if lines else "trap")
    return found.split("wasm trap: ", 1)[-1][:500]
