"""What to do about a call that will not succeed: from the call, the model's tensors and the firmware's policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.trace.numbering import NUMBERINGS, TITLES
from lading_agent.nn.rules import INPUT_TRANSFERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.check.replay import Divergence
    from lading.trace.document import Trace, TracedCall, TracedModel
    from lading_agent.nn.facts import TensorFacts
    from lading_agent.nn.personality import Personality

_OPERATORS: Final[Mapping[int, str]] = {
    9: "set converter._experimental_disable_per_channel_quantization_for_dense_layers = True, or convert with an older "
    "TensorFlow",
}
"""Converter settings that give an older version of an operator, by the operator's builtin code."""

_ANY_OPERATOR: Final = (
    "convert the model with the TensorFlow release that the firmware's TFLite comes from, or an older one"
)

_WHOLE_MODEL: Final = "give a whole TFLite model: convert it, or copy the file, again"
_NO_MODEL: Final = ("the model is damaged", "the model is empty", "the model is not a TFLite model")


def _unreadable(reason: str) -> bool:
    return reason.startswith(_NO_MODEL)


def remedy(found: Divergence, trace: Trace, personality: Personality) -> str:
    """One sentence about what to change."""
    if found.call is None:
        return "choose another firmware, or let the guest load a model that works before it ends"
    if found.outcome == "trap" and "not linked" in found.reason:
        return f"choose a firmware that has {found.function}, or build the guest without it"
    said = _Remedy(found, found.call, trace, personality).text()
    return said or "choose another firmware, or change the guest so that it does not depend on this call"


@dataclass(frozen=True)
class _Remedy:
    found: Divergence
    call: TracedCall
    trace: Trace
    personality: Personality

    @property
    def model(self) -> TracedModel | None:
        return self.trace.models.get(self.call.model or "")

    def text(self) -> str:
        about = {
            "load": self._load,
            "load_by_name": self._by_name,
            "load_by_name_with_config": self._by_name,
            "init_execution_context": self._init,
            "set_input": self._set_input,
            "get_output": self._get_output,
            "get_output_single": self._get_output,
            "compute_single": self._single,
            "fini_single": self._single,
        }.get(self.found.function)
        return about() if about is not None else ""

    def _load(self) -> str:
        reason, policy = self.found.reason, self.personality.policy
        for word, table in (("encoding", policy.encodings), ("target", policy.targets)):
            if reason.startswith(word):
                codes = [f"{c} ({n})" for c, n in sorted(table.names.items()) if c in table.accept]
                return f"give load one of the {word}s that the firmware takes: {', '.join(codes)}"
        if "operator" in reason:
            return self._operator()
        if _unreadable(reason):
            return _WHOLE_MODEL
        if "limit" in reason:
            return "load fewer graphs, or a smaller model"
        if "backend" in reason:
            return "install the firmware's TFLite backend"
        return "give load a TFLite model in one piece"

    def _by_name(self) -> str:
        if _unreadable(self.found.reason):
            return _WHOLE_MODEL
        if "operator" in self.found.reason:
            return self._operator()
        if self.call.outcome == "not_found":
            return "give the model with --model NAME=FILE (or [[model]] in lading.toml), under the name the guest uses"
        return self._load() if "limit" in self.found.reason else "let the guest load the model's bytes"

    def _init(self) -> str:
        reason, model = self.found.reason, self.model
        if "operator" in reason:
            return self._operator()
        if "limit" in reason or "moved" in reason:
            return "keep one execution context for a model instead of making new ones"
        if "gives a run" in reason:
            return "use a smaller model, or a target with more memory"
        custom = [*model.needs.get("flex_operators", ()), *model.needs.get("custom_operators", ())] if model else []
        if custom:
            return f"convert the model without {', '.join(custom[:4])}: TFLite's own operators only"
        return "convert the model again, or choose a firmware with a newer TFLite"

    def _operator(self) -> str:
        table = self.personality.policy.operators
        for operator in self.model.facts.operators if self.model is not None else ():
            if operator.version > table.get(str(operator.code), 0) and operator.code in _OPERATORS:
                return _OPERATORS[operator.code]
        return _ANY_OPERATOR

    def _set_input(self) -> str:
        index, model, policy = self.call.call.args.get("index", -1), self.model, self.personality.policy
        if model is None or not 0 <= index < len(model.facts.inputs):
            return "give an execution context and an input index that exist"
        tensor, code = model.facts.inputs[index], self.call.call.type_code
        meant = self.trace.numbering.types.get(str(code))
        if meant is not None and policy.type_names.get(code) != meant:
            ours = next((c for c, n in policy.type_names.items() if n == meant), None)
            if ours is None:
                return f"the firmware has no number for {meant}: {self._retype(tensor, model)}"
            if policy.input_rule(tensor, model.int8, ours) not in INPUT_TRANSFERS:
                return f"{meant} is {ours} here, but would not do for this input either: {self._retype(tensor, model)}"
            built = TITLES[self.trace.numbering.name]
            return f"the guest was built for {built}: build it for the firmware's numbering, where {meant} is {ours}"
        why = self.found.reason.rpartition(":")[2]
        if "dimensions" in why or "elements" in why:
            return f"give the dimensions {'x'.join(map(str, tensor.shape)) or 'of a scalar'}"
        if why.endswith("are needed"):
            return f"give {tensor.nbytes} bytes for this input in its own type ({tensor.dtype})"
        return self._retype(tensor, model)

    def _retype(self, tensor: TensorFacts, model: TracedModel) -> str:
        """Another type for an input: what the firmware takes for this one, or else for another form of the model."""
        takes = self.personality.policy.expected(tensor, model.int8)
        if takes and not takes.startswith("nothing"):
            return f"send {takes} for this input, or convert the model to an input type that the guest sends"
        return "convert the model with float32 inputs and outputs (integers inside stay as they are)"

    def _get_output(self) -> str:
        if "buffer" in self.found.reason and self.model is not None:
            wanted = self.call.told.get("output_bytes")
            unit = f"{wanted} bytes" if wanted is not None else "the whole output"
            return f"give a buffer for {unit}; four times that where the firmware turns integers into f32"
        if "compute" in self.found.reason:
            return "call compute first"
        crash = self.found.outcome in ("abort", "segv")
        return "choose another firmware, or a model with float32 outputs" if crash else ""

    def _single(self) -> str:
        return (
            "declare the model's state tensors (state = { output = input }), or use compute and keep the state itself"
        )


def numbering_note(trace: Trace, personality: Personality) -> str:
    """Where the guest's numbers and the firmware's differ, in words; empty where they do not, or nobody knows."""
    ours = {n: c for c, n in personality.policy.type_names.items()}
    theirs = NUMBERINGS.get(trace.numbering.name, {})
    apart = [f"{n} is {c} there and {ours[n]} here" for n, c in theirs.items() if n in ours and ours[n] != c]
    return f"the guest was built for {TITLES[trace.numbering.name]}: {', '.join(apart)}" if apart else ""
