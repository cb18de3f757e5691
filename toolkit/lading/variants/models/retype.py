"""Other types at the inputs and outputs of a TFLite model, with the same model between them.

Per-tensor quantized int8 and uint8 ends become f32 and back, and each other. Names, signatures, metadata, options and
weights stay; the integers that the model computes stay bit for bit, and an f32 end says the same as its integers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lading.errors import ModelError, NotRetypable
from lading.tflite.model import Operator, OperatorKey, Quantization
from lading.tflite.read import read_model
from lading.variants.models.edges import Change, retype_inputs, retype_outputs
from lading.variants.models.graft import write
from lading.variants.models.graph import Graph
from lading.variants.models.numbering import Code, Numbering
from lading.variants.models.opened import OPERATOR_OPTIONS, Opened
from lading.variants.models.quantized import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading.tflite.model import Model, Subgraph

_PLANS: Final = {
    "OfflineMemoryAllocation": "a memory plan",
    "model_control_dependencies": "control dependencies",
}
"""Metadata that speak of tensors and operators by their number."""

_MOST_WORK: Final = 20_000_000
"""Inputs and outputs times tensors and operators: beyond this a file is not a model but an attempt to keep one busy."""

_CALLS: Final = {118: "ii", 119: "ii", 129: "i", 31: "I"}
"""Operators that call subgraphs (IF, WHILE, CALL_ONCE, CALL), with the fields that say which."""


@dataclass(frozen=True)
class Retyped:
    """A model with other ends."""

    data: bytes
    changes: tuple[Change, ...]
    """What changed, inputs first; empty where all was so already (``data`` is the model as it came, then)."""


@dataclass(frozen=True)
class Direction:
    """One type for all inputs, or for all outputs."""

    side: str
    """``inputs`` or ``outputs``."""
    dtype: str
    changes: tuple[Change, ...] = ()
    """What would change; empty where all has that type already, or cannot have it."""
    reason: str = ""
    """Why it cannot be had."""
    remedy: str = ""

    @property
    def possible(self) -> bool:
        """Whether it can be had."""
        return not self.reason


@dataclass(frozen=True)
class Possible:
    """What could be made of a model, by type."""

    inputs: Mapping[str, Direction]
    outputs: Mapping[str, Direction]


def retype(model: bytes, *, inputs: str | None = None, outputs: str | None = None) -> Retyped:
    """Give a model's inputs and outputs other types. The same model gives the same bytes.

    Args:
        model: a TFLite file.
        inputs: ``float32``, ``int8`` or ``uint8`` for all inputs; None leaves them.
        outputs: the same for the outputs.

    Raises:
        ModelError: not a model, or a damaged one.
        NotRetypable: it cannot be done so that the numbers stay the same; says why.
    """
    opened = Opened(model)
    graph, changes = _edited(opened, inputs, outputs)
    if not changes:
        return Retyped(model, ())
    data = write(graph)
    _verify(graph, data)
    return Retyped(data, changes)


def possible(model: bytes) -> Possible:
    """Which types a model's inputs and outputs could be given, each side for itself.

    Raises:
        ModelError: not a model, or a damaged one.
    """
    opened = Opened(model)

    def direction(side: str, dtype: str) -> Direction:
        try:
            _, changes = _edited(opened, *((dtype, None) if side == "inputs" else (None, dtype)))
        except NotRetypable as error:
            return Direction(side, dtype, reason=error.message, remedy=error.remedy)
        return Direction(side, dtype, changes)

    return Possible(
        {dtype: direction("inputs", dtype) for dtype in DTYPES},
        {dtype: direction("outputs", dtype) for dtype in DTYPES},
    )


def _edited(opened: Opened, inputs: str | None, outputs: str | None) -> tuple[Graph, tuple[Change, ...]]:
    for dtype in (inputs, outputs):
        if dtype not in {None, *DTYPES}:
            raise NotRetypable(
                f"'{dtype}' is not a type for inputs or outputs", remedy=f"use one of {', '.join(DTYPES)}"
            )
    graph = Graph(opened)
    if (len(graph.inputs) + len(graph.outputs)) * (len(graph.values) + len(graph.steps)) > _MOST_WORK:
        raise NotRetypable(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs",
            remedy="retype a model with fewer of them",
        )
    changes: list[Change] = []
    if inputs is not None:
        changes += retype_inputs(graph, inputs)
    if outputs is not None:
        changes += retype_outputs(graph, outputs)
    if changes:
        _refuse_what_numbers_tensors(opened, graph)
    return graph, tuple(changes)


def _refuse_what_numbers_tensors(opened: Opened, graph: Graph) -> None:
    if graph.moved:
        for metadata in opened.facts.metadata:
            if metadata.name in _PLANS:
                raise NotRetypable(
                    f"the model carries {_PLANS[metadata.name]} ('{metadata.name}') made for its tensors as they are",
                    remedy="retype the model first, then plan it, or leave its inputs and outputs as they are",
                )
    left = {id(v) for v in graph.values}
    gone = next((v for v in graph.named() if id(v) not in left), None)
    if gone is not None:
        raise NotRetypable(
            f"a signature names '{gone.name}', which is no end of the model any more", remedy="convert the model again"
        )
    for number, subgraph in enumerate(opened.facts.subgraphs):
        for position, operator in enumerate(subgraph.operators):
            if operator.builtin in _CALLS and 0 in _called(opened, number, position, _CALLS[operator.builtin]):
                raise NotRetypable(
                    f"{operator.key.name} of subgraph {number} calls the main subgraph, whose ends would change",
                    remedy="convert the model so that its main subgraph is called by nothing else",
                )


def _called(opened: Opened, subgraph: int, position: int, fields: str) -> list[int]:
    graph = opened.table(opened.root, 2, subgraph, "a subgraph")
    options = opened.table(graph, 3, position, "an operator").table(OPERATOR_OPTIONS, "an operator's options")
    if options is None:
        return []
    return [options.scalar(slot, code, 0, "a called subgraph") for slot, code in enumerate(fields)]


def _verify(graph: Graph, data: bytes) -> None:
    """Read the result back and compare it with what was meant."""
    try:
        made = read_model(data)
    except ModelError as error:
        raise NotRetypable(
            f"the file is laid out in a way that cannot be edited: {error.message}",
            remedy="convert the model again, with the converter's own writer",
        ) from error
    before = graph.opened.facts
    meant = _expected(graph)
    numbering = Numbering(graph)
    signatures = tuple(
        replace(
            s,
            inputs=tuple(e._replace(tensor=numbering.number(v)) for e, v in zip(s.inputs, ends[0], strict=True)),
            outputs=tuple(e._replace(tensor=numbering.number(v)) for e, v in zip(s.outputs, ends[1], strict=True)),
        )
        if (ends := graph.signatures.get(n)) is not None
        else s
        for n, s in enumerate(before.signatures)
    )
    comparisons: tuple[tuple[str, Callable[[Model], object], object], ...] = (
        ("the main subgraph", lambda m: m.main, meant),
        ("the other subgraphs", lambda m: m.subgraphs[1:], before.subgraphs[1:]),
        ("the signatures", lambda m: m.signatures, signatures),
        ("the metadata", lambda m: m.metadata, before.metadata),
        ("the description", lambda m: m.description, before.description),
    )
    for what, of, expected in comparisons:
        if of(made) != expected:
            raise NotRetypable(
                f"the file is laid out in a way that cannot be edited: {what} would not come out as meant",
                remedy="convert the model again, with the converter's own writer",
            )


def _expected(graph: Graph) -> Subgraph:
    """The main subgraph as it has to be read back."""
    old = graph.opened.facts.main
    numbering = Numbering(graph)
    tensors = []
    for number, value in enumerate(numbering.values):
        like = old.tensors[value.like]
        tensor = replace(like, index=number, name=value.name, dtype=value.dtype)
        if value.origin is None:
            tensor = replace(tensor, quantization=None, is_variable=False)
        if value.changed and value.dtype not in {"int8", "uint8"}:
            tensor = replace(tensor, quantization=None)
        if value.steps is not None:
            quantization = Quantization((value.steps.scale,), (value.steps.zero_point(value.dtype),))
            tensor = replace(tensor, quantization=quantization)
        tensors.append(tensor)
    operators: list[Operator] = []
    for step in graph.steps:
        inputs, outputs, intermediates = (
            tuple(numbering.numbers(values)) for values in (step.inputs, step.outputs, step.intermediates)
        )
        if step.origin is not None:
            operator = replace(old.operators[step.origin], inputs=inputs, outputs=outputs, intermediates=intermediates)
        else:
            operator = Operator(OperatorKey("", 0, custom=False), 0, inputs, outputs)
        if step.origin is None or step.changed:
            code = Code(step.kind, step.version)
            operator = replace(operator, key=OperatorKey(code.kind, code.version, custom=False), builtin=code.number)
        operators.append(operator)
    return replace(
        old,
        tensors=tuple(tensors),
        operators=tuple(operators),
        inputs=tuple(numbering.number(v) for v in graph.inputs),
        outputs=tuple(numbering.number(v) for v in graph.outputs),
    )
