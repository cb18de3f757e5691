"""Which conversions would make a guest with its models work on a firmware: candidates, from the least to the most.

A candidate is only a proposal. Whether it works, the check says of the trace of what was made of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lading_agent.nn.rules import Policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lading.profiles.schema import FirmwareProfile
    from lading.trace.document import Trace, TracedModel
    from lading_agent.nn.facts import ModelFacts, TensorFacts

FORMS: Final = ("uint8", "int8", "float32")
"""The types that inputs and outputs can be given, the nearest to quantized bytes first."""

OWN: Final = "own"
"""The guest handles a tensor in the model's own type."""

_CALLED: Final[Mapping[str, str]] = {
    "float16": "f16",
    "float32": "f32",
    "float64": "f64",
    "int8": "u8",
    "uint8": "u8",
    "int32": "i32",
    "int64": "i64",
}
"""What wasi-nn calls a tensor's bytes. It has no int8: those pass as u8."""

_BY_NAME: Final = ("load_by_name", "load_by_name_with_config")


@dataclass(frozen=True)
class Handled:
    """How the guest handles a model's tensors: ``own``, ``float32`` where it leaves integers to the host, or ``""``."""

    inputs: Mapping[int, str] = field(default_factory=dict)
    outputs: Mapping[int, str] = field(default_factory=dict)

    @property
    def understood(self) -> bool:
        """Whether all of it could be understood."""
        return all((*self.inputs.values(), *self.outputs.values()))

    def floats(self, facts: ModelFacts) -> bool:
        """Whether the guest leaves it to the host to turn f32 into the integers of some tensor."""
        return any(
            how == "float32" and index < len(tensors) and tensors[index].dtype != "float32"
            for ways, tensors in ((self.inputs, facts.inputs), (self.outputs, facts.outputs))
            for index, how in ways.items()
        )

    def guest_dtype(self, direction: str, index: int, tensor: TensorFacts) -> str:
        """The type that the guest gives or takes for a tensor of the model that it was built for."""
        how = (self.inputs if direction == "input" else self.outputs).get(index, OWN)
        return tensor.dtype if how == OWN else how


@dataclass(frozen=True)
class Candidate:
    """A way to meet a firmware."""

    forms: Mapping[str, str] = field(default_factory=dict)
    """By a model's id in the trace: the type that its inputs and outputs are given; others stay as they are."""
    converted: frozenset[str] = frozenset()
    """The models whose tensor data the guest's side turns into the model's own types, and back."""
    adapted: bool = False
    """The guest is rewritten for the firmware's numbers, layouts and functions."""
    carried: bool = False
    """The guest carries the models that it loads by name, and hands their bytes over itself."""


def hosts_tflite(profile: FirmwareProfile) -> bool:
    """Whether a firmware runs core modules with TFLite models on Linux."""
    return profile.runs_guests and profile.backend != "none" and bool(profile.runtime.tflite)


def handled(trace: Trace) -> dict[str, Handled]:
    """How the guest handles the tensors of each model, by the model's id in the trace."""
    inputs: dict[str, dict[int, str]] = {}
    outputs: dict[str, dict[int, str]] = {}
    ways = {"copy": OWN, "part": OWN, "quantize": "float32", "dequantize": "float32"}
    for traced in trace.calls:
        if traced.outcome != "success" or traced.model is None:
            continue
        index = traced.call.args.get("index", -1)
        if traced.function == "set_input":
            inputs.setdefault(traced.model, {})[index] = ways.get(str(traced.told.get("understood")), "")
        elif traced.function.startswith("get_output"):
            outputs.setdefault(traced.model, {})[index] = ways.get(str(traced.told.get("given")), "")
    return {i: Handled(inputs.get(i, {}), outputs.get(i, {})) for i in {*inputs, *outputs}}


def candidates(
    trace: Trace, profile: FirmwareProfile, retyped: Callable[[str, str], ModelFacts | None]
) -> Iterator[Candidate]:
    """What to try, in order, when the guest and its models do not work as they are.

    Args:
        trace: of the guest as it was given.
        profile: the firmware.
        retyped: the facts of a model (by its id in the trace) with inputs and outputs of another type; None where that
            is not possible.
    """
    ways = handled(trace)
    used = [m for i, m in trace.models.items() if i in ways or _is_prepared(trace, i)]
    carried = _must_carry(trace, profile)
    options = [_options(model, ways.get(model.id, Handled()), profile, retyped) for model in used]
    seen: list[Candidate] = []
    for n in range(max((len(found) for found in options), default=1)):
        chosen = {m.id: found[min(n, len(found) - 1)] for m, found in zip(used, options, strict=True)}
        proposal = Candidate(
            {model: form for model, (form, _) in chosen.items() if form},
            frozenset(model for model, (_, converted) in chosen.items() if converted),
            adapted=True,
            carried=carried,
        )
        # How a firmware answers calls that runs no guests here nobody knows: the guest goes on to speak as it does.
        if (profile.runs_guests or proposal.forms) and proposal not in seen:
            seen.append(proposal)
            yield proposal


def _is_prepared(trace: Trace, model: str) -> bool:
    return any(c.function == "init_execution_context" and c.model == model for c in trace.calls)


def _must_carry(trace: Trace, profile: FirmwareProfile) -> bool:
    """Whether the guest names models, and the firmware has no models by name."""
    by_name = {c.function for c in trace.calls if c.function in _BY_NAME}
    return any(
        not any(step.get("step") == "named-model" for step in profile.functions.get(name, ())) for name in by_name
    )


def _options(
    model: TracedModel, ways: Handled, profile: FirmwareProfile, retyped: Callable[[str, str], ModelFacts | None]
) -> list[tuple[str, bool]]:
    """What may be done for a model: the form that it is given ("": none) and whether the guest's data is converted.

    Never empty: where nothing seems to help, the check has the word on the guest with the firmware's numbers.
    """
    found = []
    if fits(model.facts, model, ways, profile):
        found.append(("", False))
    if ways.understood:
        if ways.floats(model.facts) and fits(model.facts, model, Handled(), profile):
            found.append(("", True))
        dtypes = {t.dtype for t in (*model.facts.inputs, *model.facts.outputs)}
        for form in FORMS:
            facts = retyped(model.id, form) if dtypes != {form} else None
            if facts is not None and not facts.error and fits(facts, model, Handled(), profile):
                found.append((form, True))
    return found or [("", False)]


def fits(facts: ModelFacts, model: TracedModel, ways: Handled, profile: FirmwareProfile) -> bool:
    """Whether a firmware passes the tensors of a model, in some form, without losing anything.

    Args:
        facts: of the model in that form.
        model: as it was given.
        ways: what comes from the guest: the tensors' own types, or f32 that the host is to turn into integers.
        profile: the firmware.
    """
    if not profile.runs_guests:
        taken = {rule.tensor for rule in profile.tensors.input if rule.how in ("copy", "quantize")}
        return not taken or "any" in taken or all(t.dtype in taken for t in (*facts.inputs, *facts.outputs))
    policy = Policy(profile.resolved())
    for index, tensor in enumerate(facts.inputs):
        floats = ways.inputs.get(index) == "float32" and tensor.dtype != "float32"
        if not _takes(policy, tensor, model.int8, floats=floats):
            return False
    for index, tensor in enumerate(facts.outputs):
        floats = ways.outputs.get(index) == "float32" and tensor.dtype != "float32"
        if policy.output_rule(tensor, model.int8) != ("dequantize" if floats else "copy"):
            return False
    return True


def _takes(policy: Policy, tensor: TensorFacts, int8: str, *, floats: bool) -> bool:
    name, how = ("f32", "quantize") if floats else (_CALLED.get(tensor.dtype), "copy")
    return any(policy.input_rule(tensor, int8, code) == how for code, n in policy.type_names.items() if n == name)
