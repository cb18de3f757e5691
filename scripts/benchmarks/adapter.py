"""What a rewritten guest's calls cost, against the same calls of the guest as it was, in one process.

The host is a WebAssembly module that answers at once, so that nothing but the adapter's own time is between the two.
``interpreted`` runs both on the engine's interpreter, as boards without a compiler do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scripts.benchmarks.timing import paired

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
_RECORD, _DIMS, _DATA, _OUT, _SIZE = 128, 64, 65536, 1 << 20, 32

_MODERN = {"set_input": 3, "compute": 1, "get_output": 5, "load": 5}
_LEGACY = {"set_input": 3, "compute": 1, "get_output": 4, "load": 4}
_ARGUMENTS = {
    "set_input": (0, 0, _RECORD),
    "compute": (0,),
    "get_output": (0, 0, _OUT, 1 << 20, _SIZE),
    "load": (96, 1, 4, 0, 48),
}


def _guest(elements: int, width: int, code: int) -> bytes:
    """Makes each call as often as it is told."""
    import wasmtime

    def data(at: int, *words: int) -> str:
        octets = "".join(f"\\{octet:02x}" for word in words for octet in word.to_bytes(4, "little"))
        return f'(data (i32.const {at}) "{octets}")'

    imports = "".join(
        f'(import "wasi_ephemeral_nn" "{name}" (func ${name} (param {"i32 " * n}) (result i32)))'
        for name, n in _MODERN.items()
    )
    loops = "".join(
        f"""(func (export "{name}") (param $n i32)
          (loop $again
            (if (call ${name} {" ".join(f"(i32.const {a})" for a in _ARGUMENTS[name])}) (then unreachable))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"""
        for name in _MODERN
    )
    return bytes(
        wasmtime.wat2wasm(
            f"""(module {imports} (memory (export "memory") 64)
              {data(_DIMS, 1, elements)} {data(96, _DATA, 1000)}
              {data(_RECORD, _DIMS, 2, code, _DATA, elements * width)} {loops})"""
        )
    )


def _host(functions: dict[str, int], told: int) -> bytes:
    """Answers every call with success; a size word that it is given stays, or becomes ``told``."""
    import wasmtime

    names = "".join(
        f'(func (export "{name}") (param {"i32 " * n}) (result i32) (i32.const 0))'
        for name, n in functions.items()
        if name != "get_output"
    )
    n = functions["get_output"]
    output = (
        f'(func (export "get_output") (param {"i32 " * n}) (result i32) '
        f"(i32.store (local.get {n - 1}) (i32.const {told})) (i32.const 0))"
    )
    return bytes(wasmtime.wat2wasm(f'(module (import "guest" "memory" (memory 1)) {names} {output})'))


def _bridge(name: str, n: int, at: int) -> str:
    given = " ".join(f"(local.get {i})" for i in range(n))
    return (
        f'(func (export "{name}") (param {"i32 " * n}) (result i32) '
        f"(call_indirect (type $t{n}) {given} (i32.const {at})))"
    )


def _calls(guest: bytes, module: str, functions: dict[str, int], told: int, *, interpreted: bool) -> Any:
    """The guest's loops; its host sees its memory by way of a table of functions that is filled afterwards."""
    import wasmtime

    config = wasmtime.Config()
    if interpreted:
        config.target = "pulley64"
    engine = wasmtime.Engine(config)
    store = wasmtime.Store(engine)
    # Guest and host need one another: functions that call through a table stand between them.
    sorted_names = sorted(functions)
    kinds = "".join(f"(type $t{n} (func (param {'i32 ' * n}) (result i32)))" for n in sorted(set(functions.values())))
    bridges = "".join(_bridge(name, functions[name], at) for at, name in enumerate(sorted_names))
    text = f'(module (table (export "table") {len(functions)} funcref) {kinds} {bridges})'
    middle = wasmtime.Instance(store, wasmtime.Module(engine, bytes(wasmtime.wat2wasm(text))), []).exports(store)
    linker = wasmtime.Linker(engine)
    for name in sorted_names:
        linker.define(store, module, name, middle[name])
    exports = linker.instantiate(store, wasmtime.Module(engine, guest)).exports(store)
    linker.define(store, "guest", "memory", exports["memory"])
    host = linker.instantiate(store, wasmtime.Module(engine, _host(functions, told))).exports(store)
    table: Any = middle["table"]
    for at, name in enumerate(sorted_names):
        table.set(store, at, host[name])
    return lambda name, n: exports[name](store, n)  # type: ignore[operator]


def _figures(
    plan: Any,
    *,
    elements: int = 64,
    width: int = 4,
    code: int = 1,
    told: int = 40,
    times: int,
    interpreted: bool = False,
    names: tuple[str, ...] = tuple(_MODERN),
) -> dict[str, Any]:
    from lading.variants.guests.adapt import adapt

    guest = _guest(elements, width, code)
    adapted = adapt(guest, plan).module
    functions = _MODERN if plan.host.layout == "witx" else _LEGACY
    before = _calls(guest, "wasi_ephemeral_nn", _MODERN, told, interpreted=interpreted)
    after = _calls(adapted, plan.host.module, functions, told, interpreted=interpreted)

    def run(calls: Any, name: str) -> Callable[[], object]:
        return lambda: calls(name, times)

    figures = {}
    for name in names:
        direct, rewritten = paired(run(before, name), run(after, name), ROUNDS)
        figures[name] = {
            "direct_ns": round(direct / times * 1e9, 2),
            "rewritten_ns": round(rewritten / times * 1e9, 2),
            "overhead_ns": round((rewritten - direct) / times * 1e9, 2),
        }
    return figures


def measure() -> dict[str, Any]:
    from lading.variants.guests.abi import Conversion, Plan, abi_of_era

    new, old, other, legacy = (abi_of_era(name) for name in ("spec-new", "spec-old", "wamr-2.1", "legacy"))
    elements = 224 * 224 * 3
    image = Plan(new, new, (Conversion("input", 0, "uint8", "float32", 1 / 255, 0, elements),))
    return {
        "numbers": _figures(Plan(new, old), times=200_000),
        "numbers_and_sizes": _figures(Plan(new, other), told=10, times=200_000),
        "numbers_and_sizes_interpreted": _figures(Plan(new, other), told=10, times=20_000, interpreted=True),
        "old_layout": _figures(Plan(new, legacy), told=10, times=200_000),
        "old_layout_interpreted": _figures(Plan(new, legacy), told=10, times=20_000, interpreted=True),
        "image_of_bytes_to_f32": _figures(image, elements=elements, width=1, code=3, times=20, names=("set_input",)),
        "elements_of_the_image": elements,
    }
