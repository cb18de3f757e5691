"""What a runtime can do, read off what came of the cases: numbers as they were seen, no profile asked."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from lading.probe import features
from lading.probe.prologues import CODES, ENCODINGS, MANY, TARGETS, TYPES, WIDTH_OF
from lading.probe.script import LAYOUT_OF
from lading.probe.suite_tensors import sample
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.probe.observed import ItemResult

Answer = int | str | None
"""An errno (0: success), how the guest ended (``trap``, ``abort``, ``segv``, …), or None where it was not tried."""

NUMBERED: Final = ("f16", "f32", "f64", "u8", "i32", "i64")
"""Types that wasi-nn has names for and the probe has models of."""

_GROUPS: Final = ("load/model", "load/pointer", "load/operators", "name/unknown", "init", "order", "handle", "shape")
_ERRORS: Final = (*_GROUPS, "input-pointer", "output", "extension", "load/no-memory")

Results = "Mapping[str, ItemResult]"


def answer(results: Mapping[str, ItemResult], key: str) -> Answer:
    """What came of an item, in one word."""
    found = results.get(key)
    if found is None:
        return None
    if found.end is not None:
        return found.end.outcome if found.end.outcome != "exit" else f"exit {found.end.status}"
    return found.calls[-1].errno if found.calls else 0


def modules(results: Mapping[str, ItemResult]) -> list[str]:
    """The import modules whose ``load`` answers."""
    return [name for name in LAYOUT_OF if _answered(results, f"module/{name}")]


def _answered(results: Mapping[str, ItemResult], key: str) -> bool:
    found = results.get(key)
    return found is not None and bool(found.calls) and not (found.end is not None and found.end.call)


def measure(results: Mapping[str, ItemResult], module: str) -> dict[str, Any]:
    """The measurable part of a runtime.

    Args:
        results: what came of the presence, environment and one module's cases.
        module: that module.

    Returns:
        JSON-ready: ``modules``, ``functions``, ``link``, ``wasm``, ``statuses``, ``encodings``, ``targets``,
        ``tensor_types``, ``inputs``, ``outputs``, ``errors``, ``limits``, ``crashes``.
    """
    inputs = {name: _inputs(results, name) for name in TYPES}
    return {
        "modules": modules(results),
        "functions": [
            name for name in PARAMETERS[LAYOUT_OF[module]] if _function_answers(results, f"function/{name}", name)
        ],
        "untried_functions": [n for n in PARAMETERS[LAYOUT_OF[module]] if f"function/{n}" not in results],
        "link": _link(results),
        "wasm": {name: _loads(results, f"wasm/{name}") for name in features.NAMES},
        "statuses": _statuses(results),
        "encodings": {str(n): answer(results, f"load/encoding/{n}") for n in ENCODINGS},
        "targets": {str(n): answer(results, f"load/target/{n}") for n in TARGETS},
        "tensor_types": _numbering(inputs),
        "inputs": inputs,
        "outputs": _outputs(results),
        "errors": {k: answer(results, k) for k in results if k.startswith(_ERRORS)},
        "limits": _limits(results),
        "crashes": [k for k, r in results.items() if r.end is not None and r.end.outcome in ("abort", "segv", "died")],
    }


def _function_answers(results: Mapping[str, ItemResult], key: str, name: str) -> bool:
    found = results.get(key)
    if found is None:
        return False
    # A function that is missing traps, or keeps the module from starting: one that crashes the host is there.
    crashed = found.reached and found.end is not None and found.end.outcome in ("abort", "segv")
    return crashed or any(c.function == name for c in found.calls)


def _loads(results: Mapping[str, ItemResult], key: str) -> bool | None:
    found = results.get(key)
    if found is None or (found.end is not None and found.end.outcome == "unknown"):
        return None
    return found.end is None or (found.end.outcome == "exit" and found.end.status == 0)


def _link(results: Mapping[str, ItemResult]) -> dict[str, Any]:
    unknown = results.get("import/unknown")
    starts = None if unknown is None else unknown.end is None
    names = ("wasi_snapshot_preview1", "wasi_unstable")
    return {
        "unknown_import": None if starts is None else ("trap" if starts else "refuse"),
        "wasi": [n for n in names if (r := results.get(f"wasi/{n}")) is not None and r.end is None],
    }


def _statuses(results: Mapping[str, ItemResult]) -> dict[str, int]:
    found = {}
    for name, key in (("trap", "end/trap"), ("invalid_module", "end/garbage")):
        result = results.get(key)
        if result is not None and result.end is not None:
            found[name] = result.end.status
    for result in results.values():
        if result.end is not None and result.end.outcome in ("abort", "segv", "link-error"):
            found.setdefault(result.end.outcome.replace("-", "_"), result.end.status)
    return found


def _inputs(results: Mapping[str, ItemResult], name: str) -> dict[str, dict[str, Any]]:
    """By type code: what ``set_input`` answers, for the tensor's own data and for f32, and how the data passed."""
    found: dict[str, dict[str, Any]] = {}
    for code in CODES:
        for form in ("own", "f32"):
            result = results.get(f"type/{name}/{code}-{form}")
            if result is None:
                continue
            first = result.calls[0].errno if result.calls else None
            if first is None and result.end is not None:
                seen: Answer = result.end.outcome
            else:
                seen = first
            entry = found.setdefault(str(code), {})
            entry[form] = {"answer": seen}
            if seen == 0:
                entry[form]["how"] = how(result, name, code, form)
    return found


def how(result: ItemResult, name: str, code: int, form: str) -> str:
    """How accepted data passed: ``copy``, ``quantize``, ``drop``; ``unknown`` when no output was to be had."""
    output = next((c for c in result.calls if c.function == "get_output" and c.errno == 0), None)
    if output is None:
        return "unknown"
    sent = sample(name, code) if form == "own" else floats(code)
    data = output.watched[1]
    if data.startswith(sent):
        return "quantize" if form == "f32" and WIDTH_OF[name] != 4 else "copy"
    if form == "f32" and name in ("qu8", "qi8"):
        zero = 128 if name == "qu8" else 0
        steps = bytes((int(v / 0.5) + zero) & 0xFF for v in struct.unpack("<4f", sent))
        if data.startswith(steps):
            return "quantize"
    if form == "f32" and data.startswith(sent[: 4 * WIDTH_OF[name]]):
        return "copy"
    return "drop"


def floats(code: int) -> bytes:
    """The f32 data that goes with a type code."""
    return struct.pack("<4f", *(code + n for n in range(1, 5)))


def _numbering(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """The numbers of types that take exactly one code for their own bytes."""
    found = {}
    for name in NUMBERED:
        codes = [int(c) for c, entry in inputs[name].items() if entry.get("own", {}).get("how") == "copy"]
        if len(codes) == 1:
            found[name] = codes[0]
    return found


def _outputs(results: Mapping[str, ItemResult]) -> dict[str, Any]:
    """What ``get_output`` says of sizes: of 4 f32 elements (16 bytes)."""
    found: dict[str, Any] = {}
    for name in ("exact", "larger", "small", "none"):
        result = results.get(f"output/{name}")
        if result is not None and result.calls:
            call = result.calls[-1]
            size = call.watched[0]
            told = None if size == b"\xee" * 4 else int.from_bytes(size, "little")
            found[name] = {"answer": call.errno, "size": told}
    larger = found.get("larger", {})
    if larger.get("answer") == 0:
        found["unit"] = {4: "elements", 16: "bytes"}.get(larger["size"], "unknown")
    return found


def _limits(results: Mapping[str, ItemResult]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, function in (("graphs", "load"), ("contexts", "init_execution_context")):
        result = results.get(f"limit/{name}")
        if result is None:
            continue
        calls = [c for c in result.calls if c.function == function]
        good = next((n for n, c in enumerate(calls) if c.errno != 0), len(calls))
        found[name] = {
            "given": good,
            "tried": MANY,
            "then": calls[good].errno
            if good < len(calls)
            else (result.end.outcome if result.end is not None else None),
        }
    failures = results.get("limit/failures")
    if failures is not None:
        found["failures_use_slots"] = failures.errno != 0
    return found
