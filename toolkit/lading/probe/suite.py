"""Every case, by the ABI that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.probe import features, suite_calls, suite_tensors
from lading.probe.cases import LEGACY, WITX, Case, Item, nothing, single
from lading.probe.models import model
from lading.probe.prologues import AMPLE, GARBAGE, MANY, Filled, Loaded, ignore
from lading.probe.script import Program, Script

if TYPE_CHECKING:
    from collections.abc import Callable


def cases(module: str) -> list[Case]:
    """All cases for one import module."""
    made = [*suite_calls.cases(module), *suite_tensors.cases(module), *_limits(module)]
    return [*made, *_extensions()] if module == WITX else made


def presence() -> list[Case]:
    """Which import modules there are: asked before anything else."""
    return [
        single(
            f"module/{name}",
            f"{name} is linked and its load is called",
            lambda s: ignore(s.load(model("echo_f32"), note="echo_f32")),
            group="module",
            module=name,
        )
        for name in (WITX, LEGACY)
    ]


def environment() -> list[Case]:
    """What is asked of the runtime, whatever its wasi-nn is: linking, WASI, wasm features, exit statuses."""
    made = [
        _plain("end/return", "a guest that returns", Program()),
        _plain("end/exit", "a guest that exits with status 7", Program(end="exit", status=7)),
        _plain("end/trap", "a guest that executes unreachable", Program(end="trap")),
        _plain("end/garbage", "a file that is no module", Program(raw=b"no module at all, whatever it is run as")),
        _plain("end/truncated", "a module cut off in its type section", Program(raw=b"\0asm\1\0\0\0\1\x05\1\x60")),
        _plain(
            "import/unknown",
            "a guest that imports, and never calls, a function that nobody has",
            Program(imports=(("lading_probe_nobody", "nothing", 1),)),
        ),
        _plain("wasi/wasi_snapshot_preview1", "WASI preview 1 under its name", Program()),
        _plain("wasi/wasi_unstable", "WASI under its older name", Program(wasi="wasi_unstable")),
    ]
    made += [
        _plain(f"wasm/{name}", f"a module that uses {name}", Program(feature=name)) for name in ("mvp", *features.NAMES)
    ]
    return made


def _plain(id_: str, about: str, program: Program) -> Case:
    return single(id_, about, nothing, group=id_.partition("/")[0], module=WITX, base=program)


# -- limits, extensions -----------------------------------------------------------------------------------------------


def _limits(module: str) -> list[Case]:
    def graphs(s: Script) -> None:
        for _ in range(MANY):
            s.load(model("echo_f32"), note="echo_f32")

    def contexts(s: Script) -> None:
        graph = s.load(model("echo_f32"), note="echo_f32")
        for _ in range(MANY):
            s.init(graph)

    def failures(s: Script) -> None:
        for _ in range(12):
            s.load(GARBAGE, note="no model")
        s.init(s.load(model("echo_f32"), note="echo_f32"))

    return [
        single(f"limit/{what}", about, part, group="limit", module=module, unsafe=True)
        for what, about, part in (
            ("graphs", f"{MANY} graphs", graphs),
            ("contexts", f"{MANY} contexts of one graph", contexts),
            ("failures", "12 failed loads, then a good one", failures),
        )
    ]


def _extensions() -> list[Case]:
    """What the functions beyond the specification's six do."""

    def case(name: str, about: str, *parts: tuple[str, str, Callable[[Script, Loaded], None]]) -> Case:
        begin = Filled()

        def bound(part: Callable[[Script, Loaded], None]) -> Callable[[Script], None]:
            return lambda s: part(s, begin)

        items = tuple(Item(id_, text, bound(part)) for id_, text, part in parts)
        return Case(f"extension/{name}", about, begin, items, "extension", share=1, unsafe=True, module=WITX)

    def unload_then_init(s: Script, b: Loaded) -> None:
        s.call("unload", b.graph)
        s.init(b.graph)

    def unload_then_compute(s: Script, b: Loaded) -> None:
        s.call("unload", b.graph)
        s.compute(b.context)

    def finalize_then_compute(s: Script, b: Loaded) -> None:
        s.call("finalize_execution_context", b.context)
        s.compute(b.context)

    return [
        case(
            "unload",
            "unload",
            ("bad-graph", "a graph that was never given", lambda s, _: s.call("unload", 99)),
            ("then-init", "a context of an unloaded graph", unload_then_init),
            ("then-compute", "compute of an unloaded graph", unload_then_compute),
        ),
        case(
            "finalize",
            "finalize_execution_context",
            ("bad-context", "a context never given", lambda s, _: s.call("finalize_execution_context", 99)),
            ("then-compute", "compute in a finalized context", finalize_then_compute),
        ),
        case(
            "single",
            "compute_single, get_output_single, fini_single",
            (
                "compute",
                "a step of a model without state",
                lambda s, b: s.compute(b.context, function="compute_single"),
            ),
            ("bad-context", "a step in no context", lambda s, _: s.compute(99, function="compute_single")),
            (
                "output",
                "an output before a step",
                lambda s, b: s.get_output(b.context, AMPLE, function="get_output_single"),
            ),
            ("fini", "the end of a stream that never began", lambda s, b: s.call("fini_single", b.context)),
        ),
    ]
