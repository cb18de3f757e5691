"""Whether a firmware loads and links a module: kind, wasm features, imports, entry point, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading_agent.nn.link import Import, problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.check.replay import Divergence
    from lading.check.verdict import Outcome, Word
    from lading.trace.document import Trace
    from lading_agent.nn.personality import Personality

IMPLIED: Final[Mapping[str, tuple[str, ...]]] = {
    "reference-types": ("call-indirect-overlong", "function-references", "gc"),
    "function-references": ("gc",),
    "simd": ("relaxed-simd",),
    "exceptions": ("legacy-exceptions",),
}
"""What an engine without a proposal does not take either."""

EVERYWHERE: Final = frozenset(
    (
        "mutable-globals",
        "sign-extension",
        "saturating-float-to-int",
        "multi-value",
        "bulk-memory",
        "reference-types",
        "call-indirect-overlong",
        "simd",
        "extended-const",
    )
)
"""Proposals of WebAssembly 2.0: a firmware that says nothing about them takes them."""

FLAGS: Final[Mapping[str, str]] = {
    "call-indirect-overlong": "-mcpu=generic-reference_types-call_indirect_overlong",
    "reference-types": "-mcpu=generic-reference_types-call_indirect_overlong",
    "simd": "without -msimd128",
    "relaxed-simd": "without -mrelaxed-simd",
    "bulk-memory": "-mno-bulk-memory",
    "sign-extension": "-mno-sign-ext",
    "saturating-float-to-int": "-mno-nontrapping-fptoint",
    "multi-value": "-mno-multivalue",
    "tail-call": "-mno-tail-call",
    "threads": "without -pthread and -matomics",
}
"""How clang is told to do without a proposal."""


@dataclass(frozen=True)
class Refusal:
    """Why a module does not get as far as its first call."""

    verdict: Word
    outcome: Outcome | None
    reason: str
    remedy: str


def refused_kind(module: Mapping[str, Any], *, components: bool) -> Refusal | None:
    """A component on a host of core modules, or the reverse."""
    if module["kind"] == "component" and not components:
        return Refusal(
            "fails",
            "not-loadable",
            "this is a WebAssembly component; the firmware runs core modules",
            "build the guest for wasm32-wasip1 (a core module)",
        )
    if module["kind"] == "core" and components:
        return Refusal(
            "fails",
            "not-loadable",
            "this is a core module; the firmware's wasi-nn is for components only",
            "build the guest as a component (wasm32-wasip2) against the firmware's wasi:nn",
        )
    return None


def refused_feature(module: Mapping[str, Any], features: Mapping[str, bool]) -> Refusal | None:
    """The first wasm feature in use that the firmware does not take, or (after those) says nothing about."""
    off = {name for name, taken in features.items() if not taken}
    off |= {implied for name in tuple(off) for implied in IMPLIED.get(name, ()) if not features.get(implied, False)}
    silent: Refusal | None = None
    for name, use in module["features"].items():
        flag = FLAGS.get(name)
        remedy = f"build the guest without it ({flag})" if flag else "build the guest without it"
        what = f"the module uses {name} ({use['where']}, at byte {use['offset']})"
        if name in off:
            return Refusal("fails", "not-loadable", f"{what}, which this firmware does not load", remedy)
        if silent is None and not features.get(name, name in EVERYWHERE):
            silent = Refusal("unknown", None, f"{what}; the profile does not say whether the firmware loads it", remedy)
    return silent


def imports_of(module: Mapping[str, Any]) -> list[Import]:
    """The module's imports as the linker sees them."""
    return [
        Import(
            i["module"],
            i["name"],
            tuple(i["params"]) if "params" in i else None,
            tuple(i["results"]) if "results" in i else None,
        )
        for i in module["imports"]
    ]


def refused_import(module: Mapping[str, Any], personality: Personality) -> Refusal | None:
    """An import without which the module does not start."""
    imports = imports_of(module)
    for index, problem in problems(personality, imports):
        remedy = _import_remedy(imports[index], personality)
        if problem.outcome == "link-error":
            return Refusal("fails", "link-error", problem.reason, remedy)
        if imports[index].params is None:
            return Refusal("fails", "not-loadable", problem.reason, remedy)
    return None


def unlinked(module: Mapping[str, Any], personality: Personality) -> dict[tuple[str, str], str]:
    """Imports that only trap when they are called, with the reason."""
    return {(p.module, p.name): p.reason for _, p in problems(personality, imports_of(module)) if p.outcome == "trap"}


def _import_remedy(wanted: Import, personality: Personality) -> str:
    ours = ", ".join(personality.modules)
    if wanted.module not in personality.modules and wanted.module.startswith(("wasi_ephemeral_nn", "wasi_nn")):
        return f"build the guest for the firmware's own wasi-nn ({ours}), or choose another firmware"
    if wanted.module in personality.modules:
        return f"build the guest without {wanted.name}, or choose a firmware that has it"
    return "choose a firmware that has it, or build the guest without it"


def refused_shape(module: Mapping[str, Any]) -> Refusal | None:
    """No entry point, or a memory that wasi-nn cannot point into."""
    if not module["start"]:
        return Refusal(
            "fails",
            "not-loadable",
            "the module exports no function _start: it is a library (a reactor), not a program",
            "build the guest as a command (with main)",
        )
    memory = module["memory"]
    if memory is not None and (memory["is64"] or memory["shared"]):
        kind = "64-bit" if memory["is64"] else "shared"
        return Refusal(
            "fails",
            "not-loadable",
            f"the module's memory is {kind}: wasi-nn passes 32-bit pointers into one unshared memory",
            "build the guest for wasm32 without threads",
        )
    return None


def refused_memory(module: Mapping[str, Any], limit: int | None, whose: str) -> Refusal | None:
    """More memory at the start than a run may use."""
    wanted = module["memory_bytes"]
    if limit is not None and wanted > limit:
        return Refusal(
            "fails",
            "not-loadable",
            f"the module begins with {wanted} bytes of memory, {whose} gives a run {limit}",
            "link the guest with less memory (--initial-memory, a smaller stack), or choose a larger target",
        )
    return None


def outgrown(trace: Trace, limit: int | None, whose: str, first: Divergence | None) -> Refusal | None:
    """More memory than a run may use, before the first call that is answered otherwise than in the trace.

    Args:
        trace: the guest's.
        limit: bytes of memory for a run; None: nothing limits it.
        whose: who gives them.
        first: that call; None: there is none, and the memory at the guest's end counts.
    """
    if limit is None:
        return None
    if first is None:
        size = trace.memory_bytes
    else:
        size = max((c.call.memory_size for c in trace.calls if c.n <= first.step), default=0)
    if size <= limit:
        return None
    return Refusal(
        "unknown",
        None,
        f"the guest's memory grew to {size} bytes, {whose} gives a run {limit}: what the guest does when it gets no "
        "more is not known",
        "let the guest use less memory, or choose a larger target",
    )
