"""Steps for loading graphs and making contexts. See :mod:`lading_agent.nn.rules` for what a step is."""

from __future__ import annotations

from typing import Any, Mapping

from lading_agent.nn.facts import ModelFacts
from lading_agent.nn.rules import Frame, Step, step
from lading_agent.nn.state import ContextState, GraphState

_NOTHING = ModelFacts(size=0, error="the load failed")

_PIECES = {
    "builders": "the list of builders",
    "model": "the model's bytes",
    "name": "the name",
    "config": "the configuration",
    "graph-out": "the place for the graph handle",
    "context-out": "the place for the context handle",
    "tensor": "the tensor record",
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


@step("readable", "what")
def _readable(p: Mapping[str, Any]) -> Step:
    """A piece of guest memory (``what``) lies inside memory."""
    fail, what = p["fail"], p["what"]
    words = _PIECES.get(what, what)

    def run(f: Frame) -> bool:
        if f.call.readable(what):
            return True
        found = f.call.ranges.get(what)
        where = f" ({found[1]} bytes at {found[0]}, memory has {f.call.memory_size})" if found else ""
        return f.fail(fail, f"{words} is outside guest memory{where}")

    return run


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


@step("needs-mark", "flag", "reason")
def _needs_mark(p: Mapping[str, Any]) -> Step:
    """A ``mark`` was set by an earlier call."""
    fail, flag, reason = p["fail"], p["flag"], p.get("reason", "")
    return lambda f: flag in f.state.flags or f.fail(fail, reason or f"{flag} has not happened")


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


@step("given-model")
def _given_model(p: Mapping[str, Any]) -> Step:
    """The bytes that the guest hands over are a model."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        f.graph = f.world.given_model(f.call)
        f.facts = f.graph.facts
        return not f.facts.error or f.fail(fail, f.facts.error)

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


@step("operators", after=("graph", "given-model", "named-model"))
def _operators(p: Mapping[str, Any]) -> Step:
    """The interpreter knows every operator in the version that the model asks for (the profile's ``operators``)."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        for operator in f.facts.operators if f.facts is not None else ():
            known = f.policy.operators.get(str(operator.code))
            if known is not None and operator.version > known:
                return f.fail(
                    fail, f"operator {operator.code} has version {operator.version}, this TFLite knows {known}"
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


@step("prepare", after=("graph",))
def _prepare(p: Mapping[str, Any]) -> Step:
    """The interpreter takes the model and allocates its tensors."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.graph is not None
        f.context = ContextState(-1, f.graph)
        error = f.world.prepare(f.graph, f.context)
        return not error or f.fail(fail, error)

    return run


@step("claim-context", fail=False, after=("prepare",))
def _claim_context(_: Mapping[str, Any]) -> Step:
    """Give the context its handle and write it."""

    def run(f: Frame) -> bool:
        assert f.context is not None
        handle = f.state.next_context
        f.context.handle = handle
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
