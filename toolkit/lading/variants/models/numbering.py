"""The numbers that values and operator codes get when a model is written.

What stays keeps its number. A number that became free is taken by something new, else by the last one of all: no
tensor and no operator code is left over that nothing uses, since small runtimes refuse a model that has one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from lading.tflite.flatbuffer import Table
from lading.tflite.model import OperatorKey
from lading.variants.models.graph import DEQUANTIZE, QUANTIZE
from lading.variants.models.opened import GRAPH_OPERATORS, MODEL_SUBGRAPHS, OPERATOR_CODE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.variants.models.graph import Graph, Step, Value

_NUMBERS: Final = {QUANTIZE: 114, DEQUANTIZE: 6}
"""Their builtin codes in the schema."""

T = TypeVar("T")


class Code(NamedTuple):
    """An operator code that the file does not have yet."""

    kind: str
    version: int

    @property
    def number(self) -> int:
        """Its builtin code."""
        return _NUMBERS[self.kind]


class Numbering:
    """Numbers for a graph as it is now."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        kept = {v.origin: v for v in graph.values if v.origin is not None}
        new = [v for v in graph.values if v.origin is None]
        self.values: list[Value] = _compact([kept.get(i) for i in range(len(graph.opened.facts.main.tensors))], new)
        """The tensors in their new order."""
        self._numbers = {id(v): n for n, v in enumerate(self.values)}
        self._old_codes = _operator_codes(graph)
        self.codes: list[int | Code] = self._make_codes()
        """The operator codes in their new order: numbers of the file, or new ones."""
        self._code_numbers = {code: n for n, code in enumerate(self.codes)}
        self.codes_changed = self.codes != list(range(len(graph.opened.facts.operator_codes)))
        self.new_codes = any(isinstance(code, Code) for code in self.codes)

    def number(self, value: Value) -> int:
        """A tensor's new number."""
        return self._numbers[id(value)]

    def numbers(self, values: Sequence[Value | None]) -> list[int]:
        """The new numbers of tensors; -1 for one left out."""
        return [-1 if v is None else self.number(v) for v in values]

    def code(self, step: Step) -> int:
        """The number of a step's operator code."""
        return self._code_numbers[self._code(step)]

    def differs(self, step: Step) -> bool:
        """Whether a step of the file has to be written anew."""
        assert step.origin is not None
        if step.changed or self.code(step) != self._old_codes[0][step.origin]:
            return True
        old = self._graph.opened.facts.main.operators[step.origin]
        new = (self.numbers(step.inputs), self.numbers(step.outputs), self.numbers(step.intermediates))
        return new != (list(old.inputs), list(old.outputs), list(old.intermediates))

    def _code(self, step: Step) -> int | Code:
        if step.origin is not None and not step.changed:
            return self._old_codes[0][step.origin]
        key = OperatorKey(step.kind, step.version, custom=False)
        codes = self._graph.opened.facts.operator_codes
        return codes.index(key) if key in codes else Code(step.kind, step.version)

    def _make_codes(self) -> list[int | Code]:
        graph = self._graph
        elsewhere = Counter(code for codes in self._old_codes[1:] for code in codes)
        needed = [self._code(step) for step in graph.steps]
        before, now = set(self._old_codes[0]), {*needed, *elsewhere}
        known = range(len(graph.opened.facts.operator_codes))
        codes: list[int | Code | None] = [None if n in before and n not in now else n for n in known]
        new: list[int | Code] = [code for code in dict.fromkeys(needed) if isinstance(code, Code)]
        if elsewhere:  # codes that other subgraphs use stay where they are
            fixed = max(elsewhere) + 1
            codes[:fixed] = [n if c is None else c for n, c in enumerate(codes[:fixed])]
        return _compact(codes, new)


def _compact(places: list[T | None], new: list[T]) -> list[T]:
    """Fill what is free with what is new, then from the end."""
    waiting = list(new)
    filled = [(waiting.pop(0) if waiting else None) if item is None else item for item in places]
    filled += waiting
    result: list[T] = []
    end = len(filled)
    for place in range(len(filled)):
        if place >= end:
            break
        item = filled[place]
        while item is None and end > place + 1:
            end -= 1
            item = filled[end]
        if item is not None:
            result.append(item)
    return result


def _operator_codes(graph: Graph) -> list[list[int]]:
    """The number of every operator's code, by subgraph."""
    opened = graph.opened
    found = []
    for at in opened.places(opened.root, MODEL_SUBGRAPHS, "a subgraph"):
        table = Table(opened.source, at, "a subgraph")
        places = opened.places(table, GRAPH_OPERATORS, "an operator")
        operators = [Table(opened.source, p, "an operator") for p in places]
        found.append([op.scalar(OPERATOR_CODE, "I", 0, "an operator's code") for op in operators])
    return found
