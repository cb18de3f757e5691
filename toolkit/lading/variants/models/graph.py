"""The first subgraph of a model as something that can be changed: values, and the steps that make them.

Values and steps are known by identity, not by number: numbers are given again when the model is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lading.variants.models.quantized import FLOAT, INTEGERS, Steps, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lading.variants.models.opened import Opened

QUANTIZE: Final = "QUANTIZE"
DEQUANTIZE: Final = "DEQUANTIZE"


@dataclass(eq=False)
class Value:
    """A tensor. ``origin`` is its number in the file; a new one is shaped like another that was there."""

    origin: int | None
    name: str
    dtype: str
    like: int
    """The tensor of the file that has its shape."""
    named_after: int | None
    """The tensor of the file that has its name; None for a name made up here."""
    steps: Steps | None = None
    """How it is quantized, where that was looked at or changed."""
    constant: bool = False
    variable: bool = False
    changed: bool = False
    data: bytes | None = None
    """Constant data that it gets."""


@dataclass(eq=False)
class Step:
    """An operator. ``kind`` and ``version`` stand for what is new: a step of the file keeps what it had."""

    origin: int | None
    kind: str
    """The operator's name."""
    version: int
    inputs: list[Value | None]
    outputs: list[Value]
    intermediates: list[Value | None] = field(default_factory=list)
    changed: bool = False

    @property
    def source(self) -> Value | None:
        """What a QUANTIZE or DEQUANTIZE of one tensor reads; None for every other operator."""
        one = self.kind in {QUANTIZE, DEQUANTIZE} and len(self.inputs) == len(self.outputs) == 1
        return self.inputs[0] if one else None


class Graph:
    """The first subgraph, and the signatures that name its tensors."""

    def __init__(self, opened: Opened) -> None:
        graph = opened.facts.main
        self.opened = opened
        self.values = [
            Value(
                t.index,
                t.name,
                t.dtype,
                like=t.index,
                named_after=t.index,
                constant=t.is_constant,
                variable=t.is_variable,
            )
            for t in graph.tensors
        ]
        at = self.values.__getitem__
        self.steps = [
            Step(
                number,
                "" if op.key.custom else op.key.name,
                op.key.version,
                [None if i < 0 else at(i) for i in op.inputs],
                [at(i) for i in op.outputs],
                [None if i < 0 else at(i) for i in op.intermediates],
            )
            for number, op in enumerate(graph.operators)
        ]
        self.inputs = [at(i) for i in graph.inputs]
        self.outputs = [at(i) for i in graph.outputs]
        self.signatures = {
            number: ([at(e.tensor) for e in s.inputs], [at(e.tensor) for e in s.outputs])
            for number, s in enumerate(opened.facts.signatures)
            if s.subgraph == 0
        }
        self.freed: set[int] = set()
        """Buffers whose data nothing needs any more, where others are added."""
        self.moved = False
        """Whether a tensor or operator was added, taken away or given another size."""

    def users(self, value: Value) -> list[Step]:
        """The steps that read a value, each once, in order."""
        return [s for s in self.steps if any(v is value for v in (*s.inputs, *s.intermediates))]

    def maker(self, value: Value) -> Step | None:
        """The step that computes a value."""
        return next((s for s in self.steps if any(v is value for v in s.outputs)), None)

    def is_input(self, value: Value) -> bool:
        """Whether the graph is given it."""
        return any(v is value for v in self.inputs)

    def is_output(self, value: Value) -> bool:
        """Whether the graph gives it back."""
        return any(v is value for v in self.outputs)

    def is_quantized(self, value: Value) -> bool:
        """Whether a value of the file has a scale."""
        return value.origin is not None and self.opened.facts.main.tensors[value.origin].quantization is not None

    def steps_of(self, value: Value) -> Steps | str:
        """How an int8 or uint8 value is quantized, or why that is of no use here."""
        if value.steps is not None:
            return value.steps
        if value.dtype not in INTEGERS or value.origin is None:
            return f"is {value.dtype}"
        return steps_of(self.opened.facts.main.tensors[value.origin].quantization, value.dtype)

    def retype(self, value: Value, dtype: str, steps: Steps | None) -> None:
        """Give a value another type where it stands; steps that convert it follow."""
        self.moved |= (dtype == FLOAT) != (value.dtype == FLOAT)
        value.dtype, value.steps, value.changed = dtype, steps if dtype in INTEGERS else None, True
        for step in (*self.users(value), self.maker(value)):
            if step is not None and step.source is not None:
                self._recode(step)

    def add(self, dtype: str, steps: Steps, like: Value) -> Value:
        """A new value of the shape of another, which gives it its name and takes a name made from it."""
        new = Value(None, like.name, dtype, like.like, like.named_after, steps if dtype in INTEGERS else None)
        new.changed = True
        self.values.append(new)
        self.rename(like)
        self.moved = True
        return new

    def rename(self, value: Value) -> None:
        """Give a value that is no end any more a name of its own."""
        taken = {v.name for v in self.values if v is not value}
        name = stem = f"{value.name}_{value.dtype}"
        number = 1
        while name in taken:
            number += 1
            name = f"{stem}_{number}"
        value.name, value.named_after, value.changed = name, None, True

    def take_name(self, value: Value, other: Value) -> None:
        """Let a value stand under the name of another, which goes or is renamed."""
        value.name, value.named_after, value.changed = other.name, other.named_after, True

    def convert(self, before: Value, after: Value, position: int) -> None:
        """A new step that turns one value into another."""
        step = Step(None, QUANTIZE, 1, [before], [after])
        self._recode(step)
        self.steps.insert(position, step)
        self.moved = True

    def drop(self, step: Step, value: Value) -> None:
        """Take away a step, and the value that nobody needs without it."""
        self.steps = [s for s in self.steps if s is not step]
        self.values = [v for v in self.values if v is not value]
        self.moved = True

    def put_input(self, old: Value, new: Value) -> None:
        """Let another value be the input, wherever the old one was named as such."""
        self.inputs = _swapped(self.inputs, old, new)
        for number, (inputs, outputs) in self.signatures.items():
            self.signatures[number] = (_swapped(inputs, old, new), outputs)

    def put_output(self, old: Value, new: Value) -> None:
        """Let another value be the output, wherever the old one was named as such."""
        self.outputs = _swapped(self.outputs, old, new)
        for number, (inputs, outputs) in self.signatures.items():
            self.signatures[number] = (inputs, _swapped(outputs, old, new))

    def named(self) -> Iterator[Value]:
        """Every value that something refers to."""
        yield from self.inputs
        yield from self.outputs
        for inputs, outputs in self.signatures.values():
            yield from inputs
            yield from outputs
        for step in self.steps:
            yield from (v for v in (*step.inputs, *step.outputs, *step.intermediates) if v is not None)

    def _recode(self, step: Step) -> None:
        before, after = step.inputs[0], step.outputs[0]
        assert before is not None
        # What TFLite's own converter writes for these types, per tensor (tools/versioning/op_version.cc).
        kind = DEQUANTIZE if after.dtype == FLOAT else QUANTIZE
        version = 2 if kind == DEQUANTIZE and before.dtype == "int8" else 1
        if (kind, version) != (step.kind, step.version):
            step.kind, step.version, step.changed = kind, version, True


def _swapped(values: list[Value], old: Value, new: Value) -> list[Value]:
    return [new if v is old else v for v in values]
