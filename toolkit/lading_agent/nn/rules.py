"""The decision core: what a host answers to a wasi-nn call, from data alone.

A firmware profile holds, for each function, a list of *steps*; each is a check or an effect from a fixed vocabulary
(:data:`STEPS`), with its parameters and the outcome when it fails. :func:`compile_program` turns such a list into
closures once; :func:`decide` runs them over one call. Nothing here knows of wasm engines, interpreters or the names of
runtimes. Facts that only an interpreter can tell (does this model prepare?) come from a :class:`World`: the emulated
host asks the real one, a prediction answers from what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

from lading_agent.nn.calls import CRASHES, Call, Decision, Transfer

if TYPE_CHECKING:
    from lading_agent.nn.facts import ModelFacts, TensorFacts
    from lading_agent.nn.state import ContextState, GraphState, HostState

OUTCOMES_BESIDE_ERRNO = ("trap", *CRASHES, "link-error", "success")


class World(Protocol):
    """What is known beyond the call: models by bytes and by name, and whether the interpreter takes them."""

    def given_model(self, call: Call, *, unverified: bool = False) -> GraphState:
        """A graph (not yet in any table) for the bytes that ``load`` hands over.

        With ``unverified`` the host reads them without a look at their offsets: see ``ModelFacts.damage``.
        """

    def named_model(self, name: bytes) -> Optional[GraphState]:
        """A graph for a model that is known by name, or ``None``."""

    def file_model(self, path: bytes, *, unverified: bool = False) -> Optional[GraphState]:
        """A graph for a file that is named by its path; ``None`` when there is none (that may be read)."""

    def named_size(self, name: bytes) -> Optional[int]:
        """Bytes of the model of that name, before anything is read."""

    def prepare(self, graph: GraphState, context: ContextState) -> str:
        """Make an interpreter ready for a new context: empty, or why it cannot."""

    def output_bytes(self, context: ContextState, index: int) -> int:
        """Bytes of an output now, in the model's own type (a dynamic one is known only after a run)."""


class Frame:
    """One call under decision. Steps read the call and the state, and leave what is decided here."""

    __slots__ = (
        "action",
        "action_fail",
        "call",
        "context",
        "facts",
        "graph",
        "input",
        "outcome",
        "output",
        "policy",
        "reason",
        "state",
        "transfer",
        "wanted",
        "world",
        "writes",
    )  # fmt: skip

    def __init__(self, call: Call, state: HostState, world: World, policy: Policy) -> None:
        self.call = call
        self.state = state
        self.world = world
        self.policy = policy
        self.graph: Optional[GraphState] = None
        self.context: Optional[ContextState] = None
        self.facts: Optional[ModelFacts] = None
        self.input: Optional[TensorFacts] = None
        self.output: Optional[TensorFacts] = None
        self.transfer: Optional[Transfer] = None
        self.wanted = 0
        """Bytes that an output needs in guest memory."""
        self.writes: List[Tuple[str, int]] = []
        self.action = ""
        self.action_fail = ""
        self.outcome = "success"
        self.reason = ""

    def fail(self, outcome: str, reason: str) -> bool:
        """End the call with an outcome other than success."""
        self.outcome = outcome
        self.reason = reason
        return outcome == "success"


class Policy:
    """The tables of a profile that steps look into: enums, what is accepted, how tensors pass."""

    def __init__(self, doc: Mapping[str, Any]) -> None:
        abi = doc["abi"]
        self.layout: str = abi["layout"]
        self.errno: Dict[str, int] = dict(abi["errno"])
        self.type_names: Dict[int, str] = {v: k for k, v in abi["tensor_types"].items()}
        self.encodings = CodeTable(abi["encodings"], doc["encodings"], "encoding")
        self.targets = CodeTable(abi["targets"], doc["targets"], "target")
        self.backend: str = doc.get("backend", "none")
        self.inputs: Sequence[Mapping[str, Any]] = doc["tensors"]["input"]
        self.outputs: Sequence[Mapping[str, Any]] = doc["tensors"]["output"]
        self.input_otherwise: str = doc["tensors"].get("otherwise", "invalid_argument")
        self.operators: Mapping[str, int] = doc.get("operators", {})

    def type_name(self, code: int) -> str:
        """The name of a tensor type code, or ``code N``."""
        return self.type_names.get(code, f"code {code}")

    def input_rule(self, tensor: TensorFacts, int8: str, code: int) -> str:
        """The transfer or outcome for a guest's type code on one input."""
        return self._input_rule(tensor, int8, self.type_names.get(code, ""), True)

    def _input_rule(self, tensor: TensorFacts, int8: str, name: str, held: bool) -> str:
        for rule in self.inputs:
            if _applies(rule, tensor, int8, held) and rule.get("guest", "any") in ("any", name):
                return str(rule["how"])
        return self.input_otherwise

    def input_rule_of(self, tensor: TensorFacts, context: ContextState, code: int) -> str:
        """The same in a context whose interpreter may have no memory for its tensors."""
        return self._input_rule(tensor, context.graph.int8, self.type_names.get(code, ""), context.prepared)

    def output_rule(self, tensor: TensorFacts, int8: str, *, held: bool = True) -> str:
        """The transfer or outcome for one output; ``held``: the interpreter has memory for it now."""
        for rule in self.outputs:
            if _applies(rule, tensor, int8, held):
                return str(rule["how"])
        return "copy"

    def expected(self, tensor: TensorFacts, int8: str) -> str:
        """What the host takes for one input, in words."""
        names = [n for c, n in sorted(self.type_names.items()) if self.input_rule(tensor, int8, c) in INPUT_TRANSFERS]
        return " or ".join(names) or "nothing that wasi-nn can name"


INPUT_TRANSFERS = ("copy", "quantize", "truncate", "drop")
OUTPUT_TRANSFERS = ("copy", "dequantize", "zeros", "clear")
TRANSFERS = (*INPUT_TRANSFERS, *OUTPUT_TRANSFERS[1:])
"""How tensor bytes pass.

``copy``: as they are. ``quantize``: the guest's f32 to the tensor's integers, rounded and clipped. ``truncate``: the
same as a C cast does it, cut off and wrapped. ``drop``: the input is not taken, though the call succeeds.
``dequantize``: integers to f32. ``zeros``: an f32 zero for each element. ``clear``: zeros all over the guest's buffer.
"""


def _applies(rule: Mapping[str, Any], tensor: TensorFacts, int8: str, held: bool) -> bool:
    dtype = rule.get("tensor", "any")
    if dtype not in ("any", tensor.dtype):
        return False
    if "quantized" in rule and bool(rule["quantized"]) != tensor.quantized:
        return False
    if "scaled" in rule and bool(rule["scaled"]) != tensor.scaled:
        return False
    if "held" in rule and bool(rule["held"]) != held:
        return False
    return bool(rule.get("int8", int8) == int8)


class CodeTable:
    """Numbers of one enum, and what a host answers to each."""

    def __init__(self, numbers: Mapping[str, int], table: Mapping[str, Any], word: str) -> None:
        self.word = word
        self.mask: int = table.get("mask", 0xFFFFFFFF)
        self.names: Dict[int, str] = {v: k for k, v in numbers.items()}
        self.accept = {numbers[n] for n in table["accept"]}
        self.special: Dict[int, str] = {int(k): v for k, v in table.get("codes", {}).items()}
        self.unsupported: str = table["unsupported"]
        self.unknown: str = table["unknown"]

    def knows(self, code: int) -> bool:
        """Whether the number is in the numbering at all."""
        return (code & self.mask) in self.names

    def answer(self, code: int) -> Tuple[str, str]:
        """Outcome and reason for one number."""
        code &= self.mask
        if code in self.special:
            outcome = self.special[code]
        elif code in self.accept:
            return "success", ""
        else:
            outcome = self.unsupported if code in self.names else self.unknown
        name = self.names.get(code)
        return outcome, f"{self.word} {code}" + (f" ({name}) is not supported" if name else " is not in the numbering")


Step = Callable[[Frame], bool]
"""Returns whether the call goes on to the next step."""

Maker = Callable[[Mapping[str, Any]], Step]


class StepKind(NamedTuple):
    """One word of the vocabulary."""

    make: Maker
    params: Tuple[str, ...]
    """Names of the parameters that it takes beside ``step``, ``fail`` and ``when``."""
    needs_fail: bool
    doc: str
    after: Tuple[str, ...] = ()
    """Steps of which one has to come before this one in a function."""


STEPS: Dict[str, StepKind] = {}
"""The vocabulary: filled by :mod:`lading_agent.nn.rules_load` and :mod:`lading_agent.nn.rules_run`."""

CONDITIONS: Dict[str, Callable[[Frame], bool]] = {
    "quantized-input": lambda f: f.input is not None and f.input.quantized,
    "quantized-output": lambda f: f.output is not None and f.output.quantized,
    "not-quantized-output": lambda f: f.output is not None and not f.output.quantized,
    "scaled-output": lambda f: f.output is not None and f.output.scaled,
    "unscaled-output": lambda f: f.output is not None and not f.output.scaled,
    "first-load": lambda f: not f.state.graphs,
    "builders-given": lambda f: f.call.builders > 0,
    "input-passes": lambda f: f.transfer is not None and f.transfer.how != "drop",
}
"""What ``when`` can ask: the step counts only if it is so."""


def step(name: str, *params: str, fail: bool = True, after: Tuple[str, ...] = ()) -> Callable[[Maker], Maker]:
    """Register a step kind; its docstring is its documentation."""

    def register(make: Maker) -> Maker:
        STEPS[name] = StepKind(make, params, fail, (make.__doc__ or "").strip(), after)
        return make

    return register


def compile_program(steps: Sequence[Mapping[str, Any]]) -> Tuple[Step, ...]:
    """Turn a function's list of steps into closures."""
    return tuple(_with_condition(STEPS[s["step"]].make(s), s.get("when")) for s in steps)


def _with_condition(inner: Step, when: Optional[str]) -> Step:
    if when is None:
        return inner
    condition = CONDITIONS[when]
    return lambda f: inner(f) if condition(f) else True


def decide(program: Tuple[Step, ...], call: Call, state: HostState, world: World, policy: Policy) -> Decision:
    """What the host answers to one call; ``state`` moves on accordingly."""
    frame = Frame(call, state, world, policy)
    for run in program:
        if not run(frame):
            break
    outcome = frame.outcome
    return Decision(
        outcome=outcome,
        errno=policy.errno.get(outcome, 0),
        reason=frame.reason,
        writes=tuple(frame.writes),
        transfer=frame.transfer if outcome == "success" else None,
        action=frame.action if outcome == "success" else "",
        action_fail=frame.action_fail,
        graph=frame.graph.handle if frame.graph is not None else None,
        context=frame.context.handle if frame.context is not None else None,
    )
