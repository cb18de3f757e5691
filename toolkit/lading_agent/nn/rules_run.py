"""Steps for inputs, inference and outputs. See :mod:`lading_agent.nn.rules` for what a step is."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from lading_agent.nn.calls import Transfer
from lading_agent.nn.rules import INPUT_TRANSFERS, OUTPUT_TRANSFERS, Frame, Step, step


@step("context")
def _context(p: Mapping[str, Any]) -> Step:
    """The handle is a context's."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        f.context = f.state.context(f.call.args["context"])
        if f.context is None:
            return f.fail(fail, f"there is no execution context {f.call.args['context']}")
        f.graph = f.context.graph
        f.facts = f.graph.facts
        return True

    return run


@step("index-counts")
def _index_counts(p: Mapping[str, Any]) -> Step:
    """The index plus one is still a 32-bit number: hosts that compare ``index + 1`` fall over otherwise."""
    fail = p["fail"]
    return lambda f: f.call.args["index"] != 0xFFFFFFFF or f.fail(fail, "index 4294967295 passes for index -1")


@step("type-code", "names")
def _type_code(p: Mapping[str, Any]) -> Step:
    """The type code is one of ``names``, whatever the tensor is."""
    fail, names = p["fail"], tuple(p["names"])

    def run(f: Frame) -> bool:
        name = f.policy.type_name(f.call.type_code)
        return name in names or f.fail(
            fail, f"the host takes {' and '.join(names)} only, the guest sent {name} (type {f.call.type_code})"
        )

    return run


@step("input-index", after=("context",))
def _input_index(p: Mapping[str, Any]) -> Step:
    """The model has an input of that index."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.facts is not None
        index = f.call.args["index"]
        if index >= len(f.facts.inputs):
            return f.fail(fail, f"there is no input {index}: the model has {len(f.facts.inputs)}")
        f.input = f.facts.inputs[index]
        return True

    return run


@step("output-index", after=("context",))
def _output_index(p: Mapping[str, Any]) -> Step:
    """The model has an output of that index."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.facts is not None
        index = f.call.args["index"]
        if index >= len(f.facts.outputs):
            return f.fail(fail, f"there is no output {index}: the model has {len(f.facts.outputs)}")
        f.output = f.facts.outputs[index]
        return True

    return run


@step("one-scale", after=("input-index", "output-index"))
def _one_scale(p: Mapping[str, Any]) -> Step:
    """The input or output has no more than one scale: the host knows no scales by channel."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        tensor = f.output if f.output is not None else f.input
        assert tensor is not None
        return not tensor.per_channel or f.fail(fail, f"'{tensor.name}' has a scale for each channel")

    return run


def _mismatch(f: Frame, why: str) -> str:
    """Which tensor, what it expects, what came."""
    assert f.input is not None
    assert f.graph is not None
    tensor, call = f.input, f.call
    expected = f.policy.expected(tensor, f.graph.int8)
    shape = "x".join(map(str, tensor.shape)) or "scalar"
    length = "" if call.data_length is None else f", {call.data_length} bytes"
    return (
        f"input {call.args['index']} '{tensor.name}' is {tensor.describe()} ({tensor.nbytes} bytes) and takes "
        f"{expected} {shape}; the guest sent {f.policy.type_name(call.type_code)} (type {call.type_code}) "
        f"{call.describe_dims()}{length}: {why}"
    )


@step("input-type", fail=False, after=("input-index",))
def _input_type(_: Mapping[str, Any]) -> Step:
    """The type code is one that the profile's ``tensors.input`` take for that tensor; they say how the bytes pass."""

    def run(f: Frame) -> bool:
        assert f.input is not None
        assert f.graph is not None
        assert f.context is not None
        tensor = f.input
        how = f.policy.input_rule_of(tensor, f.context, f.call.type_code)
        if how not in INPUT_TRANSFERS:
            return f.fail(how, _mismatch(f, "type"))
        if how in ("quantize", "truncate") and not tensor.quantized:
            return f.fail(f.policy.input_otherwise, _mismatch(f, "it has no single scale and zero point"))
        nbytes = 0 if how == "drop" else tensor.nbytes if how == "copy" else 4 * tensor.count
        f.transfer = Transfer(how, f.call.args["index"], nbytes)
        return True

    return run


@step("dims", "match", after=("input-index",))
def _dims(p: Mapping[str, Any]) -> Step:
    """The dimensions fit: ``match`` is ``exact`` or ``count`` (the same number of elements)."""
    fail, match = p["fail"], p.get("match", "exact")

    def exact(f: Frame) -> bool:
        assert f.input is not None
        return (f.call.dims_length == len(f.call.dims) and f.call.dims == f.input.shape) or f.fail(
            fail, _mismatch(f, "dimensions")
        )

    def count(f: Frame) -> bool:
        assert f.input is not None
        return f.call.dims_count == f.input.count or f.fail(fail, _mismatch(f, "number of elements"))

    return exact if match == "exact" else count


@step("data-length", after=("input-type",))
def _data_length(p: Mapping[str, Any]) -> Step:
    """The data is exactly as long as the tensor in the guest's type."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.transfer is not None
        return f.call.data_length == f.transfer.nbytes or f.fail(
            fail, _mismatch(f, f"{f.transfer.nbytes} bytes are needed")
        )

    return run


@step("put-input", fail=False, after=("context",))
def _put_input(_: Mapping[str, Any]) -> Step:
    """Take the input."""

    def run(f: Frame) -> bool:
        assert f.context is not None
        index = f.call.args["index"]
        if index not in f.context.inputs:
            f.context.inputs.add(index)
            f.state.touch()
        return True

    return run


@step("invoke", after=("context",))
def _invoke(p: Mapping[str, Any]) -> Step:
    """Run the model; ``fail`` is the outcome when the interpreter refuses."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.context is not None
        if not f.context.prepared:
            return f.fail(fail, "the interpreter has no memory for this model's tensors")
        f.action, f.action_fail = "invoke", fail
        if not f.context.computed:
            f.context.computed = True
            f.state.touch()
        return True

    return run


@step("state-tensors", after=("context", "graph"))
def _state_tensors(p: Mapping[str, Any]) -> Step:
    """The model has declared state tensors."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.graph is not None
        return bool(f.graph.state) or f.fail(
            fail, "the model has no declared state tensors: say which output feeds which input ('state')"
        )

    return run


@step("invoke-step", after=("state-tensors",))
def _invoke_step(p: Mapping[str, Any]) -> Step:
    """Run the model for one step: afterwards its state outputs are the next step's state inputs."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.context is not None
        f.action, f.action_fail = "step", fail
        if not f.context.stepped:
            f.context.stepped = True
            f.state.touch()
        return True

    return run


@step("reset-steps", fail=False, after=("state-tensors",))
def _reset_steps(_: Mapping[str, Any]) -> Step:
    """The next step begins a new stream."""

    def run(f: Frame) -> bool:
        assert f.context is not None
        f.action = "reset"
        if f.context.stepped:
            f.context.stepped = False
            f.state.touch()
        return True

    return run


@step("computed", "by", after=("context",))
def _computed(p: Mapping[str, Any]) -> Step:
    """There are outputs: ``by`` is ``compute`` or ``step``."""
    fail, single = p["fail"], p.get("by", "compute") == "step"

    def run(f: Frame) -> bool:
        assert f.context is not None
        if single:
            return f.context.stepped or f.fail(fail, "compute_single has not run: there is no output yet")
        return f.context.computed or f.fail(fail, "compute has not run: there is no output yet")

    return run


@step("output-type", fail=False, after=("output-index",))
def _output_type(_: Mapping[str, Any]) -> Step:
    """How the output passes, by the profile's ``tensors.output``; from here on the bytes that it needs are known."""

    def run(f: Frame) -> bool:
        assert f.output is not None
        assert f.context is not None
        assert f.graph is not None
        index = f.call.args["index"]
        held = f.context.prepared and (f.context.computed or not f.graph.facts.shaped_by_data)
        how = f.policy.output_rule(f.output, f.graph.int8, held=held)
        if how not in OUTPUT_TRANSFERS:
            without = "" if held else ", without memory before compute"
            return f.fail(how, f"output {index} '{f.output.name}' is {f.output.describe()}{without}")
        nbytes = _tensor_bytes(f)
        if how in ("dequantize", "zeros"):
            nbytes = nbytes // max(f.output.element_bytes, 1) * 4
        f.wanted = nbytes
        f.transfer = Transfer(how, index, f.call.capacity if how == "clear" else nbytes)
        return True

    return run


def _bytes(f: Frame) -> int:
    return f.wanted


def _tensor_bytes(f: Frame) -> int:
    assert f.output is not None
    assert f.context is not None
    return f.world.output_bytes(f.context, f.call.args["index"]) if f.context.prepared else f.output.nbytes


def _elements(f: Frame) -> int:
    assert f.output is not None
    return f.output.count


UNITS: Mapping[str, Callable[[Frame], int]] = {
    "bytes": _bytes,
    "elements": _elements,
    "f32-bytes": lambda f: 4 * _elements(f),
    "tensor-bytes": _tensor_bytes,
    "tensor-words": lambda f: _tensor_bytes(f) // 4,
}
"""What sizes count: bytes in guest memory, the tensor's elements, the bytes that these have as f32, the bytes that the
tensor has in the interpreter, or these four at a time, rounded down."""


@step("capacity", "write", "unit", after=("output-index",))
def _capacity(p: Mapping[str, Any]) -> Step:
    """The output fits the guest's buffer, counted in ``unit``; ``write = "needed"`` tells the guest how much it takes.

    All but ``bytes`` can be asked before ``output-type`` has said how the output passes.
    """
    fail, needed, unit = p["fail"], p.get("write") == "needed", p.get("unit", "bytes")
    measure = UNITS[unit]

    def run(f: Frame) -> bool:
        assert f.output is not None
        wanted = measure(f)
        if wanted <= f.call.capacity:
            return True
        if needed:
            f.writes.append(("size-out", wanted))
        what = f"output {f.call.args['index']} '{f.output.name}'"
        return f.fail(fail, f"{what} has {wanted} {unit}, the guest's buffer {f.call.capacity}")

    return run


@step("clear-when-short", fail=False, after=("output-type",))
def _clear_when_short(_: Mapping[str, Any]) -> Step:
    """A copy that needs more bytes than the guest's number becomes zeros all over that many (a checked ``memcpy``)."""

    def run(f: Frame) -> bool:
        assert f.transfer is not None
        if f.transfer.how == "copy" and f.transfer.nbytes > f.call.capacity:
            f.transfer = Transfer("clear", f.transfer.tensor, f.call.capacity)
        return True

    return run


@step("echo-capacity", fail=False)
def _echo_capacity(_: Mapping[str, Any]) -> Step:
    """Write the guest's own number back as the bytes written, unless the call gets as far as ``put-output``."""

    def run(f: Frame) -> bool:
        f.writes.append(("size-out", f.call.capacity))
        return True

    return run


@step("put-output", "unit", fail=False, after=("output-type",))
def _put_output(p: Mapping[str, Any]) -> Step:
    """Hand the output over and write its size in ``unit``."""
    measure = UNITS[p.get("unit", "bytes")]

    def run(f: Frame) -> bool:
        f.writes.append(("size-out", measure(f)))
        return True

    return run


@step("drop-context", fail=False, after=("context",))
def _drop_context(_: Mapping[str, Any]) -> Step:
    """Forget the context."""

    def run(f: Frame) -> bool:
        assert f.context is not None
        del f.state.contexts[f.context.handle]
        f.state.touch()
        return True

    return run
