"""Steps for loading graphs and making contexts. See :mod:`lading_agent.nn.rules` for what a step is."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from lading_agent.nn.facts import CUSTOM, ModelFacts
from lading_agent.nn.rules import Frame, Step, step
from lading_agent.nn.state import ContextState, GraphState

_NOTHING = ModelFacts(size=0, error="the load failed")

MOST_ELEMENT = 8
"""Bytes of the largest element that is handed over."""

PIECES = {
    "builders": "the list of builders",
    "builder-array": "the record of the list of builders",
    "model": "the model's bytes",
    "every-model": "the bytes of a builder",
    "name": "the name",
    "config": "the configuration",
    "graph-out": "the place for the graph handle",
    "context-out": "the place for the context handle",
    "tensor": "the tensor record",
    "dims-record": "the record of the tensor's dimensions",
    "dims": "the tensor's dimensions",
    "data": "the tensor's data",
    "output": "the output buffer",
    "output-first-byte": "the output buffer",
    "size-out": "the place for the bytes written",
}
"""Names of pieces of guest memory in words."""


@step("memory")
def _memory(p: Mapping[str, Any]) -> Step:
    """The guest exports a memory."""
    fail = p["fail"]
    return lambda f: f.call.has_memory or f.fail(fail, "the guest exports no memory named 'memory'")


@step("readable", "what", "length")
def _readable(p: Mapping[str, Any]) -> Step:
    """A piece of guest memory (``what``) lies inside memory.

    ``length`` says how much of it: a number of bytes, ``elements`` (as many bytes as the guest's dimensions have
    elements), ``transfer`` (what passes between guest and tensor), ``low-32-bits`` of its true length, ``with-nul``
    (one more byte, unless it is empty), or, when not given, all of it.
    """
    fail, what, length = p["fail"], p["what"], p.get("length", "all")
    words = PIECES.get(what, what)
    measure = (lambda _f, _n: int(length)) if isinstance(length, int) else LENGTHS[length]

    def run(f: Frame) -> bool:
        found = f.call.ranges.get(what)
        if found is not None:
            at, size = found[0], measure(f, found[1])
            if at + size <= f.call.memory_size and (what != "every-model" or f.call.models_readable):
                return True
            return f.fail(
                fail, f"{words} is outside guest memory ({size} bytes at {at}, memory has {f.call.memory_size})"
            )
        return f.fail(fail, f"{words} is outside guest memory")

    return run


LENGTHS: Mapping[str, Callable[[Frame, int], int]] = {
    "all": lambda _f, n: n,
    "with-nul": lambda _f, n: n + 1 if n else 0,
    "low-32-bits": lambda _f, n: n & 0xFFFFFFFF,
    "elements": lambda f, _n: f.call.dims_count,
    "transfer": lambda f, _n: f.transfer.nbytes if f.transfer is not None else 0,
}
"""What ``readable`` can measure, beside a number of bytes."""


@step("mark", "flag", fail=False)
def _mark(p: Mapping[str, Any]) -> Step:
    """Remember that the call came this far."""
    flag = p["flag"]

    def run(f: Frame) -> bool:
        if flag not in f.state.flags:
            f.state.flags.add(flag)
            f.state.touch()
        return True

    return run


@step("needs-mark", "flag", "reason", "given")
def _needs_mark(p: Mapping[str, Any]) -> Step:
    """A ``mark`` was set by an earlier call; with ``given`` it is asked only when that other one was set as well."""
    fail, flag, reason, given = p["fail"], p["flag"], p.get("reason", ""), p.get("given")

    def run(f: Frame) -> bool:
        flags = f.state.flags
        asked = given is None or given in flags
        return not asked or flag in flags or f.fail(fail, reason or f"{flag} has not happened")

    return run


@step("builder-count", "count")
def _builder_count(p: Mapping[str, Any]) -> Step:
    """The model comes in ``count`` pieces (1 when not given)."""
    fail, count = p["fail"], p.get("count", 1)
    return lambda f: (
        f.call.builders == count
        or f.fail(fail, f"a TFLite model comes in {count} piece, the guest gave {f.call.builders}")
    )


@step("encoding", fail=False)
def _encoding(_: Mapping[str, Any]) -> Step:
    """The graph encoding is one that the profile's ``encodings`` accept."""

    def run(f: Frame) -> bool:
        outcome, reason = f.policy.encodings.answer(f.call.args["encoding"])
        return outcome == "success" or f.fail(outcome, reason)

    return run


@step("encoding-is", "names")
def _encoding_is(p: Mapping[str, Any]) -> Step:
    """The graph encoding is one of ``names``: a second look, after the one that chose a backend."""
    fail, names = p["fail"], tuple(p["names"])

    def run(f: Frame) -> bool:
        name = f.policy.encodings.names.get(f.call.args["encoding"], "")
        return name in names or f.fail(fail, f"the backend takes {' and '.join(names)}, not {name or 'that encoding'}")

    return run


@step("target", fail=False)
def _target(_: Mapping[str, Any]) -> Step:
    """The execution target is one that the profile's ``targets`` accept."""

    def run(f: Frame) -> bool:
        outcome, reason = f.policy.targets.answer(f.call.args["target"])
        return outcome == "success" or f.fail(outcome, reason)

    return run


@step("backend")
def _backend(p: Mapping[str, Any]) -> Step:
    """The host has a TFLite backend at all."""
    fail = p["fail"]
    return lambda f: f.policy.backend != "none" or f.fail(fail, "this host has no TFLite backend")


@step("model-size")
def _model_size(p: Mapping[str, Any]) -> Step:
    """The model is no larger than the limit."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        limit = f.state.model_bytes_limit
        size = f.world.named_size(f.call.name) if f.call.name is not None else f.call.ranges.get("model", (0, 0))[1]
        return size is None or size <= limit or f.fail(fail, f"the model has {size} bytes, the limit is {limit}")

    return run


@step("given-model", "trust")
def _given_model(p: Mapping[str, Any]) -> Step:
    """The bytes that the guest hands over are a model.

    ``trust = "identifier"``: the host looks at the identifier and at nothing else; see ``buildable``.
    """
    fail, trusting = p["fail"], p.get("trust", "nothing") == "identifier"

    def run(f: Frame) -> bool:
        f.graph = f.world.given_model(f.call, unverified=trusting)
        f.facts = f.graph.facts
        return _accepted(f, fail, trusting)

    return run


def _accepted(f: Frame, fail: str, trusting: bool) -> bool:
    assert f.facts is not None
    return (f.facts.identifier if trusting else not f.facts.error) or f.fail(fail, f.facts.error)


@step("file-model", "named-by", "trust")
def _file_model(p: Mapping[str, Any]) -> Step:
    """The name is the path of a file, and that is a model (``trust`` as in ``given-model``).

    ``named-by``: the path is as long as the guest says (``length``, when not given) or goes to the first ``nul``.
    """
    fail, trusting = p["fail"], p.get("trust", "nothing") == "identifier"
    to_nul = p.get("named-by", "length") == "nul"

    def run(f: Frame) -> bool:
        path = (f.call.path if to_nul else f.call.name) or b""
        f.graph = f.world.file_model(path, unverified=trusting)
        if f.graph is None:
            return f.fail(
                fail,
                f"there is no file {path[:200].decode('utf-8', 'replace')!r} in the directories that are opened for "
                "the guest, or in the folder for models by path",
            )
        f.facts = f.graph.facts
        return _accepted(f, fail, trusting)

    return run


@step("text-ends", "what", "at")
def _text_ends(p: Mapping[str, Any]) -> Step:
    """Where a name or configuration (``what``) ends.

    ``at = "nul"``: it is not empty, and a NUL follows it. ``at = "length"``: there is no NUL inside it.
    """
    fail, what, behind = p["fail"], p["what"], p["at"] == "nul"

    def run(f: Frame) -> bool:
        if behind:
            whole = f.call.ranges.get(what, (0, 0))[1] and what in f.call.nul_behind
            return bool(whole) or f.fail(fail, f"the {what} is empty, or no NUL follows it")
        text = f.call.name if what == "name" else f.call.config
        return b"\0" not in (text or b"") or f.fail(fail, f"there is a NUL inside the {what}")

    return run


@step("named-model")
def _named_model(p: Mapping[str, Any]) -> Step:
    """There is a model of that name."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        name = f.call.name if f.call.name is not None else b""
        f.graph = f.world.named_model(name)
        if f.graph is None:
            return f.fail(fail, f"there is no model named {name[:80].decode('utf-8', 'replace')!r}")
        f.facts = f.graph.facts
        return True

    return run


@step("named-model-loads", after=("named-model",))
def _named_model_loads(p: Mapping[str, Any]) -> Step:
    """The model of that name is one that can be loaded."""
    fail = p["fail"]
    return lambda f: f.facts is None or not f.facts.error or f.fail(fail, f.facts.error)


@step("graph-slot")
def _graph_slot(p: Mapping[str, Any]) -> Step:
    """There is room for one more graph."""
    fail = p["fail"]
    return lambda f: (
        len(f.state.graphs) < f.state.graph_limit
        or f.fail(fail, f"the limit of {f.state.graph_limit} graphs is reached")
    )


@step("start-over", fail=False)
def _start_over(_: Mapping[str, Any]) -> Step:
    """Forget every graph and context: the host makes itself a new, empty backend."""

    def run(f: Frame) -> bool:
        if f.state.graphs or f.state.contexts:
            f.state.start_over()
        return True

    return run


@step("accept-graph", fail=False, after=("given-model", "file-model", "named-model"))
def _accept_graph(_: Mapping[str, Any]) -> Step:
    """The handle that was claimed last is that model's from now on."""

    def run(f: Frame) -> bool:
        assert f.graph is not None
        f.graph.handle = f.state.next_graph - 1
        f.state.graphs[f.graph.handle] = f.graph
        f.state.touch()
        return True

    return run


@step("claim-graph", "usable", fail=False)
def _claim_graph(p: Mapping[str, Any]) -> Step:
    """Give the graph its handle and write it; with ``usable = false`` before it is known whether it is a model."""
    usable = p.get("usable", True)

    def run(f: Frame) -> bool:
        handle = f.state.next_graph
        graph = f.graph if f.graph is not None and usable else GraphState(handle, _NOTHING)
        graph.handle = handle
        graph.usable = usable
        f.state.graphs[handle] = graph
        f.state.next_graph = handle + 1
        f.state.touch()
        f.writes.append(("graph-out", handle))
        if usable:
            f.graph = graph
        return True

    return run


@step("graph")
def _graph(p: Mapping[str, Any]) -> Step:
    """The handle is a graph's."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        f.graph = f.state.graph(f.call.args["graph"])
        if f.graph is None:
            return f.fail(fail, f"there is no graph {f.call.args['graph']}")
        f.facts = f.graph.facts
        return True

    return run


@step("operators", after=("graph", "given-model", "named-model", "file-model"))
def _operators(p: Mapping[str, Any]) -> Step:
    """The interpreter knows every operator in the version that the model asks for (the profile's ``operators``).

    Operators that are not listed there are not known, unless there is no list. Custom ones are found out later.
    """
    fail = p["fail"]

    def run(f: Frame) -> bool:
        table = f.policy.operators
        if not table:
            return True
        for operator in f.facts.operators if f.facts is not None else ():
            known = table.get(str(operator.code), 0)
            if operator.version > known and operator.code != CUSTOM:
                has = f"up to version {known}" if known else "not at all"
                return f.fail(
                    fail, f"operator {operator.code} has version {operator.version}: this TFLite has it {has}"
                )
        return True

    return run


@step("context-slot")
def _context_slot(p: Mapping[str, Any]) -> Step:
    """There is room for one more context."""
    fail = p["fail"]
    return lambda f: (
        len(f.state.contexts) < f.state.context_limit
        or f.fail(fail, f"the limit of {f.state.context_limit} contexts is reached")
    )


@step("buildable", "wild", after=("graph",))
def _buildable(p: Mapping[str, Any]) -> Step:
    """A model that was taken by its identifier alone can be built.

    ``wild`` is the outcome when its offsets lead out of the file, ``fail`` that when the interpreter says no.
    """
    fail, wild = p["fail"], p.get("wild", p["fail"])

    def run(f: Frame) -> bool:
        assert f.facts is not None
        return not f.facts.error or f.fail(wild if f.facts.damage == "wild" else fail, f.facts.error)

    return run


@step("tensors", "dimensions", after=("graph",))
def _tensors(p: Mapping[str, Any]) -> Step:
    """Inputs and outputs can be handed over: at most ``dimensions`` dimensions, plain elements of at most 8 bytes, and
    no output whose size is known only while the model runs."""
    fail, most = p["fail"], p["dimensions"]

    def run(f: Frame) -> bool:
        assert f.facts is not None
        for side, tensors in (("input", f.facts.inputs), ("output", f.facts.outputs)):
            for index, tensor in enumerate(tensors):
                why = ""
                if len(tensor.shape) > most:
                    why = f"{len(tensor.shape)} dimensions, this host hands over at most {most}"
                elif not 0 < tensor.element_bytes <= MOST_ELEMENT:
                    why = f"elements of type {tensor.dtype}, which this host cannot hand over"
                elif tensor.by_data:
                    why = "a size that is known only while the model runs"
                if why:
                    return f.fail(fail, f"{side} {index} '{tensor.name}' has {why}")
        return True

    return run


@step("prepare", after=("graph",))
def _prepare(p: Mapping[str, Any]) -> Step:
    """The interpreter takes the model and allocates its tensors.

    With ``fail = "success"`` the host does not look whether that worked: the context has no memory for tensors then.
    """
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.graph is not None
        if f.context is None:
            f.context = ContextState(-1, f.graph)
        error = f.world.prepare(f.graph, f.context)
        f.context.prepared = not error
        return not error or f.fail(fail, error)

    return run


@step("accept-context", fail=False, after=("claim-context",))
def _accept_context(_: Mapping[str, Any]) -> Step:
    """The context that was claimed can be used from now on."""

    def run(f: Frame) -> bool:
        assert f.context is not None
        f.context.usable = True
        f.state.touch()
        return True

    return run


@step("claim-context", "usable", fail=False, after=("graph",))
def _claim_context(p: Mapping[str, Any]) -> Step:
    """Give the context its handle and write it; with ``usable = false`` before it is known whether it works."""
    usable = p.get("usable", True)

    def run(f: Frame) -> bool:
        assert f.graph is not None
        if f.context is None:
            f.context = ContextState(-1, f.graph)
        handle = f.state.next_context
        f.context.handle = handle
        f.context.usable = usable
        f.state.contexts[handle] = f.context
        f.state.next_context = handle + 1
        f.state.touch()
        f.writes.append(("context-out", handle))
        return True

    return run


@step("drop-graph", fail=False, after=("graph",))
def _drop_graph(_: Mapping[str, Any]) -> Step:
    """Forget the graph, and with it its contexts."""

    def run(f: Frame) -> bool:
        assert f.graph is not None
        del f.state.graphs[f.graph.handle]
        for handle in [h for h, c in f.state.contexts.items() if c.graph is f.graph]:
            del f.state.contexts[handle]
        f.state.touch()
        return True

    return run
