"""For which numbering of tensor types a guest was built: from its codes, its byte lengths and the models' tensors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lading.trace.document import TracedCall, TracedModel

NUMBERINGS: Final[Mapping[str, Mapping[str, int]]] = {
    "spec-old": {"f16": 0, "f32": 1, "u8": 2, "i32": 3},
    "spec-new": {"f16": 0, "f32": 1, "f64": 2, "u8": 3, "i32": 4, "i64": 5},
    "wamr-2.1": {"f16": 0, "f32": 1, "f64": 2, "bf16": 3, "u8": 4, "i32": 5, "i64": 6},
    "legacy": {"f16": 0, "f32": 1, "u8": 2, "i32": 3},
}
"""Tensor type codes by era. ``legacy`` belongs to the old memory layout alone, the others to the WITX one."""

TITLES: Final[Mapping[str, str]] = {
    "spec-old": "the specification before August 2023 (u8 = 2; crate wasi-nn up to 0.5, WasmEdge up to 0.14)",
    "spec-new": "the specification since August 2023 (u8 = 3; crate wasi-nn 0.6, WasmEdge from 0.15, WAMR from 2.4)",
    "wamr-2.1": "WAMR 2.1 to 2.3 (u8 = 4)",
    "legacy": "WAMR's old module wasi_nn (u8 = 2)",
    "undetermined": "no call tells the numberings apart",
}

WIDTH: Final[Mapping[str, int]] = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "u8": 1, "i32": 4, "i64": 8}

_SAME: Final[Mapping[str, str]] = {
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "u8": "uint8",
    "i32": "int32",
    "i64": "int64",
}

LEGACY: Final = "wamr-legacy"


@dataclass(frozen=True)
class Numbering:
    """The answer: one of `NUMBERINGS`, or ``undetermined``."""

    name: str
    candidates: tuple[str, ...] = ()
    """All that the calls leave possible."""
    evidence: tuple[str, ...] = ()
    """What each telling call said."""
    types: Mapping[str, str] = field(default_factory=dict)
    """What each code that was used stands for, where that is known."""

    def to_json(self) -> dict[str, Any]:
        """The answer as it stands in a trace."""
        return {
            "name": self.name,
            "about": TITLES[self.name],
            "candidates": list(self.candidates),
            "evidence": list(self.evidence),
            "types": dict(self.types),
        }


def find_numbering(calls: Iterable[TracedCall], models: Mapping[str, TracedModel]) -> Numbering:
    """Which numbering fits all ``set_input`` calls.

    A numbering is out when it does not have a code, or gives it a type of another width than the data has. Among those
    that are left, one whose types are those of the models' tensors wins over others.
    """
    inputs = [c for c in calls if c.call.function == "set_input" and c.layout]
    layouts = {c.layout for c in calls if c.layout}
    possible = [n for n in NUMBERINGS if (n == "legacy") == (LEGACY in layouts)]
    evidence: list[str] = []
    fitting = dict.fromkeys(possible, 0)
    for traced in inputs:
        code, length, dims = traced.call.type_code, traced.call.data_length, traced.call.dims_count
        out = [n for n in possible if not _fits(n, code, length, dims)]
        if out and len(out) < len(possible):
            possible = [n for n in possible if n not in out]
            told = "" if length is None else f" with {length} bytes for {dims} elements"
            evidence.append(f"call {traced.n}: type {code}{told} is not {' or '.join(out)}")
        tensor = _tensor_of(traced, models)
        for name in possible:
            fitting[name] += _SAME.get(_name(name, code)) == tensor
    best = max((fitting[n] for n in possible), default=0)
    likely = [n for n in possible if fitting[n] == best] if best else possible
    if len(likely) < len(possible):
        evidence.append(f"only in {' and '.join(likely)} are the types those of the models' tensors")
    codes = sorted({c.call.type_code for c in inputs})
    types = {str(code): name for code in codes if len(names := {_name(n, code) for n in likely}) == 1 for name in names}
    name = likely[0] if len(likely) == 1 and (inputs or likely == ["legacy"]) else "undetermined"
    return Numbering(name, tuple(likely), tuple(dict.fromkeys(evidence)), types)


def _name(numbering: str, code: int) -> str:
    return next((n for n, c in NUMBERINGS[numbering].items() if c == code), "")


def _fits(numbering: str, code: int, length: int | None, elements: int) -> bool:
    name = _name(numbering, code)
    return bool(name) and (length is None or not elements or length == elements * WIDTH[name])


def _tensor_of(traced: TracedCall, models: Mapping[str, TracedModel]) -> str:
    """The type of the input that a call sets; int8 counts as u8, which carries its bytes."""
    model = models.get(traced.model or "")
    index = traced.call.args.get("index", -1)
    if model is None or not 0 <= index < len(model.facts.inputs):
        return ""
    dtype = model.facts.inputs[index].dtype
    return "uint8" if dtype == "int8" else dtype
