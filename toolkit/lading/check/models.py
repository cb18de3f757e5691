"""Models against a firmware: memory, and for firmwares whose calls nobody knows operators, types and arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.check.replay import Divergence
from lading.check.verdict import At, Errno

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.profiles.schema import FirmwareProfile
    from lading.trace.document import Trace, TracedCall, TracedModel

_INIT: Final = "init_execution_context"


@dataclass(frozen=True)
class RefusedModel:
    """Why a declared firmware cannot run a model."""

    at: At | None
    errno: Errno | None
    reason: str
    remedy: str


def needed_bytes(model: TracedModel) -> int:
    """What an interpreter needs for a model: its weights once more in its own layout, and the arena."""
    needs = model.needs
    return int(needs.get("weights_bytes", 0)) + int(needs.get("arena_bytes", 0))


def too_large(trace: Trace, limit: int | None, whose: str) -> Divergence | None:
    """The first context that does not fit what a run may use, with the guest's memory and the models before it."""
    if limit is None:
        return None
    used = trace.memory_bytes
    for call, model in _contexts(trace):
        used += model.size + needed_bytes(model)
        if used > limit:
            return Divergence(
                call,
                call.n,
                call.function,
                "abort",
                0,
                f"{model.title} needs about {model.size + needed_bytes(model)} bytes, guest and models together about "
                f"{used}; {whose} gives a run {limit}",
            )
    return None


def _contexts(trace: Trace) -> Iterator[tuple[TracedCall, TracedModel]]:
    for call in trace.calls:
        model = trace.models.get(call.model or "")
        if call.function == _INIT and call.outcome == "success" and model is not None:
            yield call, model


def warnings(trace: Trace) -> tuple[str, ...]:
    """What deserves a word although every call succeeds."""
    said = []
    if not trace.calls:
        said.append("the guest made no wasi-nn call in the trace")
    if trace.missing_env:
        said.append(f"traced without {', '.join(trace.missing_env)}, which only the device knows")
    return tuple(said)


def refused_model(trace: Trace, profile: FirmwareProfile) -> RefusedModel | None:
    """What a profile without calls declares, held against each model that the guest makes a context of."""
    for call, model in _contexts(trace):
        at = At(call.n, call.function)
        found = _operators(model, profile, at) or _types(model, profile, at) or _arena(model, profile, at)
        if found is not None:
            return found
    return None


def _operators(model: TracedModel, profile: FirmwareProfile, at: At) -> RefusedModel | None:
    known = set(profile.operator_list)
    if not known:
        return None
    missing = [o["name"] for o in model.needs.get("operators", ()) if o["name"] not in known]
    if not missing:
        return None
    return RefusedModel(
        at,
        None,
        f"{model.title} needs {', '.join(missing[:6])}, which the firmware does not have",
        "build the firmware with these operators, or change the model",
    )


def _types(model: TracedModel, profile: FirmwareProfile, at: At) -> RefusedModel | None:
    taken = {r.tensor for r in profile.tensors.input if r.how in ("copy", "quantize")}
    if not taken or "any" in taken:
        return None
    for tensor in (*model.facts.inputs, *model.facts.outputs):
        if tensor.dtype not in taken:
            return RefusedModel(
                at,
                None,
                f"{model.title}: '{tensor.name}' is {tensor.dtype}, the firmware takes {', '.join(sorted(taken))}",
                f"convert the model with {' or '.join(sorted(taken))} inputs and outputs",
            )
    return None


def _arena(model: TracedModel, profile: FirmwareProfile, at: At) -> RefusedModel | None:
    limit = profile.limits.arena_bytes
    wanted = int(model.needs.get("micro_arena_bytes", 0))
    if limit is None or wanted <= limit:
        return None
    return RefusedModel(
        at,
        None,
        f"{model.title} needs an arena of at least {wanted} bytes, the firmware has {int(limit)}",
        "use a smaller model, or give the firmware a larger arena",
    )
