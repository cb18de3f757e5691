"""How much memory a model will take, planned as TFLite's own greedy planner does it.

Interpreters put the tensors that are computed into one arena. Two tensors share bytes when no operator needs both.
The planner goes through the tensors from large to small and gives each the smallest gap that it fits into. What
kernels ask for besides (im2col buffers, converted weights, delegates) is not in the file, so the arena is a lower
bound for builtin kernels, and a delegate such as XNNPACK keeps a copy of the weights in its own layout.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.errors import ModelError

if TYPE_CHECKING:
    from lading.tflite.model import Model, Subgraph

LITERT_ALIGNMENT: Final = 64
MICRO_ALIGNMENT: Final = 16

MOST_PLANNED: Final = 4000
"""Planning takes the square of the number of tensors: beyond this the bytes alive at one time stand for it."""

_MOST_BYTES: Final = 2**48


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a model needs at run time."""

    weights_bytes: int
    """Constant data; interpreters that map or share the file need it once."""
    arena_bytes: int
    """Tensors that are computed, by lifetime; the first subgraph, open dimensions as 1."""
    state_bytes: int
    """Variable tensors, which live from one inference to the next (part of ``arena_bytes``)."""
    largest_tensor_bytes: int
    is_lower_bound: bool
    """Whether tensors of open shape or of no fixed size, or gaps that were not planned, make it larger."""

    @property
    def total_bytes(self) -> int:
        """Weights and arena together."""
        return self.weights_bytes + self.arena_bytes


@dataclass(frozen=True)
class _Span:
    """A tensor in need of bytes, from the first to the last operator that touches it."""

    index: int
    size: int
    first: int
    last: int


def estimate_memory(model: Model, *, alignment: int = LITERT_ALIGNMENT) -> MemoryEstimate:
    """Weights and arena of a model.

    Args:
        model: as read.
        alignment: of each tensor in the arena, in bytes: `LITERT_ALIGNMENT`, or `MICRO_ALIGNMENT` for TFLite Micro.

    Raises:
        ModelError: its tensors would not fit any machine.
    """
    graph = model.main
    spans = _spans(graph)
    total = sum(span.size for span in spans)
    if total > _MOST_BYTES:
        raise ModelError(
            f"the model's tensors would take {total} bytes", remedy="the shapes are damaged: convert the model again"
        )
    return MemoryEstimate(
        weights_bytes=model.weights_bytes,
        arena_bytes=_plan(spans, alignment),
        state_bytes=sum(t.size_bytes or 0 for t in graph.tensors if t.is_variable),
        largest_tensor_bytes=max((span.size for span in spans), default=0),
        is_lower_bound=len(spans) > MOST_PLANNED or any(t.is_dynamic or t.size_bytes is None for t in graph.tensors),
    )


def _spans(graph: Subgraph) -> list[_Span]:
    end = len(graph.operators)
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for node, operator in enumerate(graph.operators):
        for index in operator.outputs:
            first.setdefault(index, node)
            last[index] = node
        for index in (*operator.inputs, *operator.intermediates):
            if index >= 0:
                last[index] = node
    # Interpreters keep inputs and outputs readable; variables have to survive.
    inputs = set(graph.inputs)
    kept = {*inputs, *graph.outputs, *(t.index for t in graph.tensors if t.is_variable)}
    spans = []
    for tensor in graph.tensors:
        size = tensor.size_bytes or 0
        used = tensor.index in first or tensor.index in kept
        if tensor.is_constant or not size or not used:
            continue
        if tensor.index in inputs or tensor.is_variable:
            spans.append(_Span(tensor.index, size, 0, end))
        else:
            until = end if tensor.index in kept else last.get(tensor.index, end)
            spans.append(_Span(tensor.index, size, first.get(tensor.index, 0), until))
    return spans


def _plan(spans: list[_Span], alignment: int) -> int:
    """The arena's size: whole-life tensors first, then from large to small, each into the smallest gap that fits."""
    end = max((s.last for s in spans), default=0)
    base = 0
    passing: list[_Span] = []
    for span in spans:
        if span.first == 0 and span.last == end:
            base += _aligned(span.size, alignment)
        else:
            passing.append(span)
    if len(passing) > MOST_PLANNED:
        return base + _most_alive(passing, alignment)
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last; by offset
    high = 0
    for span in sorted(passing, key=lambda s: (-s.size, s.first)):
        offset = _gap(placed, span, alignment)
        bisect.insort(placed, (offset, offset + span.size, span.first, span.last))
        high = max(high, offset + span.size)
    return base + _aligned(high, alignment)


def _gap(placed: list[tuple[int, int, int, int]], span: _Span, alignment: int) -> int:
    """Where a tensor goes, counted from behind the whole-life ones."""
    first, last = span.first, span.last
    best: tuple[int, int] | None = None
    at = 0
    for offset, end in [(o, e) for o, e, f, t in placed if f <= last and t >= first]:
        start = _aligned(at, alignment)
        room = offset - start
        if room >= span.size and (best is None or room < best[0]):
            best = (room, start)
        at = max(at, end)
    return _aligned(at, alignment) if best is None else best[1]


def _most_alive(spans: list[_Span], alignment: int) -> int:
    """The most bytes that are needed at one time: what no plan can go below."""
    changes: dict[int, int] = {}
    for span in spans:
        size = _aligned(span.size, alignment)
        changes[span.first] = changes.get(span.first, 0) + size
        changes[span.last + 1] = changes.get(span.last + 1, 0) - size
    alive = most = 0
    for node in sorted(changes):
        alive += changes[node]
        most = max(most, alive)
    return most


def _aligned(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment
