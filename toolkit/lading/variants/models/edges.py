"""What has to happen at an input or output so that it gets another type.

From integers to f32 a conversion is added, and from f32 to integers the one that is there is taken away: what the
model computes between stays the same, bit for bit. Where a conversion between int8 and uint8 of the same steps is
there already, it is taken away or changed instead of putting another in front of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lading.errors import NotRetypable
from lading.variants.models.graph import DEQUANTIZE, QUANTIZE
from lading.variants.models.opened import TENSOR_EXTERNAL
from lading.variants.models.quantized import COUNTS, FLOAT, INTEGERS, Steps

if TYPE_CHECKING:
    from lading.variants.models.graph import Graph, Step, Value

_CONVERT = "convert the model with a per-tensor quantized {side}, or leave its {side}s as they are"


@dataclass(frozen=True)
class Change:
    """An input or output that got another type."""

    tensor: str
    """Its name, which it keeps."""
    direction: str
    """``input`` or ``output``."""
    index: int
    """Which one it is; the first, where one tensor stands at several places."""
    before: str
    after: str
    scale: float
    """real = scale x (integer - zero_point)"""
    zero_point: int
    """That of the integers: of ``after`` where both types are integers."""


def retype_inputs(graph: Graph, want: str) -> list[Change]:
    """Give every input a type, those left out that hold no real numbers.

    Raises:
        NotRetypable: one of them cannot have it.
    """
    changes = []
    for index, value in _distinct(graph, graph.inputs):
        if value.dtype != want:
            name, before = value.name, value.dtype
            _guard(graph, value, "input")
            steps = _input_from_float(graph, value, want) if before == FLOAT else _input(graph, value, want)
            changes.append(_change(name, "input", index, before, want, steps))
    return changes


def retype_outputs(graph: Graph, want: str) -> list[Change]:
    """Give every output a type, those left out that hold no real numbers.

    Raises:
        NotRetypable: one of them cannot have it.
    """
    changes = []
    for index, value in _distinct(graph, graph.outputs):
        if value.dtype != want:
            name, before = value.name, value.dtype
            _guard(graph, value, "output")
            maker = graph.maker(value)
            assert maker is not None
            make = _output_from_float if before == FLOAT else _output
            changes.append(_change(name, "output", index, before, want, make(graph, value, maker, want)))
    return changes


def _distinct(graph: Graph, values: list[Value]) -> list[tuple[int, Value]]:
    """Each end once. Counts, truth values and strings stay what they are, beside ends that hold real numbers."""
    seen: dict[int, tuple[int, Value]] = {}
    for index, value in enumerate(values):
        seen.setdefault(id(value), (index, value))
    ends = list(seen.values())
    real = [(n, v) for n, v in ends if v.dtype not in COUNTS or graph.is_quantized(v)]
    return real or ends


def _change(name: str, side: str, index: int, before: str, after: str, steps: Steps) -> Change:
    integers = after if after in INTEGERS else before
    return Change(name, side, index, before, after, steps.scale, steps.zero_point(integers))


def _refuse(side: str, value: Value, cause: str, remedy: str = "") -> NotRetypable:
    return NotRetypable(
        f"{side} '{value.name}' {cause}",
        remedy=remedy or _CONVERT.format(side=side),
        details={"tensor": value.name, "direction": side, "dtype": value.dtype},
    )


def _guard(graph: Graph, value: Value, side: str) -> None:
    """Refuse ends of which nobody could say what their new type means."""
    if value.dtype != FLOAT and value.dtype not in INTEGERS:
        raise _refuse(side, value, f"is {value.dtype}: only float32, int8 and uint8 can be changed into each other")
    if value.variable:
        raise _refuse(side, value, "is a variable, which the model keeps between runs")
    external = value.origin is not None and graph.opened.tensor(value.origin).scalar(
        TENSOR_EXTERNAL, "I", 0, "a tensor's data"
    )
    if value.constant or external:
        raise _refuse(side, value, "is a constant")
    if graph.is_input(value) and graph.is_output(value):
        raise _refuse(
            side, value, "is input and output at once", "let an operator of the model's own stand between the two"
        )
    made = graph.maker(value) is not None
    if side == "input" and made:
        raise _refuse(side, value, "is computed by an operator of the model", "convert the model again")
    if side == "output" and not made:
        raise _refuse(side, value, "is computed by no operator of the model", "convert the model again")


def _steps(graph: Graph, value: Value, side: str) -> Steps:
    steps = graph.steps_of(value)
    if isinstance(steps, str):
        raise _refuse(side, value, steps)
    return steps


def _same(graph: Graph, value: Value, steps: Steps) -> bool:
    """Whether an int8 or uint8 value has these very levels, so that a conversion only shifts them."""
    return value.dtype in INTEGERS and graph.steps_of(value) == steps


def _free(graph: Graph, value: Value) -> bool:
    """Whether a value inside may become an output."""
    inner = not (value.constant or value.variable or graph.is_input(value) or graph.is_output(value))
    return inner and graph.maker(value) is not None


def _input(graph: Graph, value: Value, want: str) -> Steps:
    """int8 or uint8 becomes f32 or the other integer."""
    steps = _steps(graph, value, "input")
    users = graph.users(value)
    shifted = [u.outputs[0] for u in users if u.kind == QUANTIZE and u.source and _same(graph, u.outputs[0], steps)]
    converted = all(u.source is not None for u in users)
    only_floats = converted and all(u.kind == DEQUANTIZE for u in users)
    if len(users) == len(shifted) == 1 and shifted[0].dtype == want and not graph.is_output(shifted[0]):
        _give_way(graph, value, users[0], shifted[0])
    elif len(shifted) == len(users) or (only_floats and want in INTEGERS) or (converted and want == "int8"):
        graph.retype(value, want, steps)
    else:
        if converted:  # what is converted anyway may as well be int8: TFLite Micro makes no uint8 of f32
            graph.retype(value, "int8", steps)
        edge = graph.add(want, steps, like=value)
        graph.put_input(value, edge)
        graph.convert(edge, value, 0)
    return steps


def _input_from_float(graph: Graph, value: Value, want: str) -> Steps:
    """f32 becomes int8 or uint8, which the model makes of it anyway."""
    users = graph.users(value)
    if not users:
        raise _refuse("input", value, "is read by no operator, so that nothing says what scale it has")
    found: set[Steps] = set()
    for user in users:
        made = user.outputs[0] if user.outputs else None
        if user.kind != QUANTIZE or user.source is not value or made is None:
            raise _refuse(
                "input",
                value,
                f"is computed with as float32 by {user.kind or 'a custom operator'}",
                "quantize the model first: `lading quantize MODEL -o OUT --mode int8`",
            )
        if made.dtype not in INTEGERS:
            raise _refuse("input", value, f"is quantized to {made.dtype} by the model: only int8 and uint8 are known")
        steps = graph.steps_of(made)
        if isinstance(steps, str):
            raise _refuse("input", value, f"is quantized to '{made.name}', which {steps}")
        found.add(steps)
    if len(found) > 1:
        raise _refuse("input", value, f"is quantized in {len(found)} ways by the model")
    steps, inner = found.pop(), users[0].outputs[0]
    if len(users) == 1 and inner.dtype == want and not graph.is_output(inner):
        _give_way(graph, value, users[0], inner)
    else:
        graph.retype(value, want, steps)
    return steps


def _give_way(graph: Graph, value: Value, step: Step, inner: Value) -> None:
    """What the conversion at an input makes becomes the input."""
    graph.take_name(inner, value)
    graph.put_input(value, inner)
    graph.drop(step, value)


def _output(graph: Graph, value: Value, maker: Step, want: str) -> Steps:
    """int8 or uint8 becomes f32 or the other integer."""
    steps = _steps(graph, value, "output")
    source = maker.source if maker.kind == QUANTIZE else None
    alone = not graph.users(value)
    if (
        source is not None
        and _same(graph, source, steps)
        and (alone or (source.dtype == want and _free(graph, source)))
    ):
        _hand_over(graph, value, maker, source, want, steps)
    elif source is not None and source.dtype == FLOAT and alone and want == "int8":
        graph.retype(value, want, steps)
    else:
        edge = graph.add(want, steps, like=value)
        graph.put_output(value, edge)
        graph.convert(value, edge, len(graph.steps))
    return steps


def _output_from_float(graph: Graph, value: Value, maker: Step, want: str) -> Steps:
    """f32 becomes int8 or uint8, of which the model makes it."""
    source = maker.source if maker.kind == DEQUANTIZE else None
    if source is None:
        raise _refuse(
            "output",
            value,
            f"is computed as float32 by {maker.kind or 'a custom operator'}",
            "quantize the model first: `lading quantize MODEL -o OUT --mode int8`",
        )
    steps = graph.steps_of(source) if source.dtype in INTEGERS else f"is {source.dtype}"
    if isinstance(steps, str):
        raise _refuse("output", value, f"is dequantized from '{source.name}', which {steps}")
    if source.constant:
        raise _refuse("output", value, "is a constant")
    if graph.users(value) and not (source.dtype == want and _free(graph, source)):
        edge = graph.add(want, steps, like=value)
        graph.put_output(value, edge)
        graph.convert(source, edge, len(graph.steps))
    else:
        _hand_over(graph, value, maker, source, want, steps)
    return steps


def _hand_over(graph: Graph, value: Value, maker: Step, source: Value, want: str, steps: Steps) -> None:
    """What the conversion at an output reads becomes the output, if it may; else the conversion makes ``want``."""
    if source.dtype != want or not _free(graph, source):
        graph.retype(value, want, steps)
        return
    graph.take_name(source, value)
    graph.put_output(value, source)
    if graph.users(value):
        graph.rename(value)
    else:
        graph.drop(maker, value)
