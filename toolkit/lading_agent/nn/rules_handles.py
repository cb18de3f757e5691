"""Steps about handles that live longer, shorter or elsewhere than expected. See :mod:`lading_agent.nn.rules`."""

from __future__ import annotations

from typing import Any, Mapping

from lading_agent.nn.rules import Frame, Step, step


@step("refuse", "reason")
def _refuse(p: Mapping[str, Any]) -> Step:
    """The call fails, whatever it asks."""
    fail, reason = p["fail"], p.get("reason", "this host does not do it")
    return lambda f: f.fail(fail, reason)


@step("known-target")
def _known_target(p: Mapping[str, Any]) -> Step:
    """The execution target is in the numbering, whether it is accepted or not."""
    fail = p["fail"]
    return lambda f: (
        f.policy.targets.knows(f.call.args["target"])
        or f.fail(fail, f"target {f.call.args['target']} is not in the numbering")
    )


@step("known-encoding")
def _known_encoding(p: Mapping[str, Any]) -> Step:
    """The graph encoding is in the numbering, whether it is accepted or not."""
    fail = p["fail"]
    return lambda f: (
        f.policy.encodings.knows(f.call.args["encoding"])
        or f.fail(fail, f"encoding {f.call.args['encoding']} is not in the numbering")
    )


@step("known-type")
def _known_type(p: Mapping[str, Any]) -> Step:
    """The tensor type code is in the numbering, whether the model takes it or not."""
    fail = p["fail"]
    return lambda f: (
        f.call.type_code in f.policy.type_names
        or f.fail(fail, f"tensor type {f.call.type_code} is not in the numbering")
    )


@step("loaded-name", fail=False)
def _loaded_name(_: Mapping[str, Any]) -> Step:
    """A name that is loaded already gives the handle of the first time, and the call ends with success."""

    def run(f: Frame) -> bool:
        for graph in f.state.graphs.values():
            if graph.usable and graph.name is not None and graph.name == f.call.name:
                f.graph = graph
                f.writes.append(("graph-out", graph.handle))
                return False
        return True

    return run


@step("keep-name", fail=False, after=("named-model",))
def _keep_name(_: Mapping[str, Any]) -> Step:
    """Remember the name that the graph was loaded by, for ``loaded-name``."""

    def run(f: Frame) -> bool:
        assert f.graph is not None
        f.graph.name = f.call.name
        return True

    return run


@step("graph-in-place", "every", after=("graph",))
def _graph_in_place(p: Mapping[str, Any]) -> Step:
    """The graph has not been moved: when their table outgrows ``every`` places, those in it become stale."""
    fail, every = p["fail"], p["every"]

    def run(f: Frame) -> bool:
        assert f.graph is not None
        return not _moved(f.graph.handle, f.state.next_graph, every) or f.fail(
            fail, f"graph {f.graph.handle} was moved when the host had more than {every} graphs"
        )

    return run


@step("context-in-place", "every", after=("context",))
def _context_in_place(p: Mapping[str, Any]) -> Step:
    """The context has not been moved: when their table outgrows ``every`` places, those in it become stale."""
    fail, every = p["fail"], p["every"]

    def run(f: Frame) -> bool:
        assert f.context is not None
        return not _moved(f.context.handle, f.state.next_context, every) or f.fail(
            fail, f"execution context {f.context.handle} was moved when the host had more than {every}"
        )

    return run


def _moved(handle: int, count: int, every: int) -> bool:
    return handle // every < (count - 1) // every


@step("context-graph", after=("context",))
def _context_graph(p: Mapping[str, Any]) -> Step:
    """The context's graph has not been unloaded."""
    fail = p["fail"]

    def run(f: Frame) -> bool:
        assert f.graph is not None
        assert f.context is not None
        return f.state.graphs.get(f.graph.handle) is f.graph or f.fail(
            fail, f"graph {f.graph.handle} of execution context {f.context.handle} is unloaded"
        )

    return run


@step("drop-graph-only", fail=False, after=("graph",))
def _drop_graph_only(_: Mapping[str, Any]) -> Step:
    """Forget the graph; its contexts keep their handles."""

    def run(f: Frame) -> bool:
        assert f.graph is not None
        del f.state.graphs[f.graph.handle]
        f.state.touch()
        return True

    return run
