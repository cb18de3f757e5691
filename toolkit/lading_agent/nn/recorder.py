"""A host that says yes: it lets a guest go through its whole conversation and writes down every wasi-nn call.

It takes every numbering, every type, shape and length, and both memory layouts, so that what the guest would do on some
firmware after a success is in the trace. It says no only where every host does: to what lies outside memory, to handles
and indices that nobody gave, to bytes that are no model, to a buffer that cannot hold the output. Models run on the
real interpreter, and numbers are right where the guest's bytes can be understood.

Each call becomes a ``call`` event of the report, each model a ``model`` event (before the first call that needs it).
Calls that change nothing and were made before are counted, and told at the end in a ``repeats`` event.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from lading_agent.nn.calls import Call
from lading_agent.nn.decode import PARAMETERS, decode
from lading_agent.nn.engine import Refused
from lading_agent.nn.lenient import understood, wanted
from lading_agent.nn.memory import GuestMemory
from lading_agent.nn.minutes import Minutes
from lading_agent.nn.reporting import PHASE, Figures, now_ns
from lading_agent.nn.state import ContextState, GraphState
from lading_agent.nn.tensors import fill_zero, flat_bytes, get, put

if TYPE_CHECKING:
    from lading_agent.nn.models import Live, Models
    from lading_agent.nn.personality import HostFunction
    from lading_agent.nn.reporting import InterpreterLog, Phase, Report

MOST_HANDLES = 256
"""Graphs, and contexts: more than any host gives."""

_U32 = struct.Struct("<I")

Answer = str
"""``success``, or the name of an errno."""

_Handler = Callable[[Call, Dict[str, Any], List[Tuple[str, int]]], Answer]


class Recorder:
    """wasi-nn for one traced guest."""

    def __init__(
        self,
        models: Models,
        errno: Mapping[str, int],
        layouts: Mapping[str, str],
        report: Report,
        phase: Phase,
        interpreter_log: InterpreterLog,
        keep: str = "",
        first_handle: int = 0,
        count_elements: bool = False,
    ) -> None:
        """Make a recorder.

        Args:
            models: the run's models.
            errno: numbers of the answers.
            layouts: memory layout by import module.
            report: where calls are told.
            phase: what the run is doing.
            interpreter_log: the interpreter's own words.
            keep: a folder that gets each model's bytes, named after their digest.
            first_handle: handles are counted from here; those counted from 0 are taken as well. A guest that uses the
                handles that it was given, and not numbers of its own, shows it then.
            count_elements: sizes of outputs count elements: so a guest was rewritten for a host that counts them.
        """
        self._count_elements = count_elements
        self._first = first_handle
        self._models = models
        self._errno = errno
        self._layouts = layouts
        self._minutes = Minutes(models, errno, report, keep)
        self._cell = phase.cell
        self._log = interpreter_log
        self._memory: Optional[GuestMemory] = None
        self._looked = False
        self._store: Any = None
        self._graphs: Dict[int, GraphState] = {}
        self._contexts: Dict[int, ContextState] = {}
        self._next = {"graph": first_handle, "context": first_handle}
        self._floats: Set[int] = set()
        self.figures = Figures()
        self._handlers: Mapping[str, _Handler] = {
            "load": self._load,
            "load_by_name": self._load_by_name,
            "load_by_name_with_config": self._load_by_name,
            "init_execution_context": self._init,
            "set_input": self._set_input,
            "compute": self._compute,
            "get_output": self._get_output,
            "compute_single": self._step,
            "get_output_single": self._get_output,
            "fini_single": self._fini,
            "unload": self._unload,
            "finalize_execution_context": self._finalize,
        }

    def attach(self, store: Any) -> None:
        """The store in which the guest will run."""
        self._store = store

    def memory_size(self) -> int:
        """Bytes of guest memory now; 0 when none is known."""
        if self._memory is None:
            return 0
        self._memory.refresh()
        return self._memory.size

    def functions(self) -> List[Tuple[HostFunction, Callable[..., int]]]:
        """None beforehand: they are made to the guest's measure, see :meth:`function`."""
        return []

    def at_exit(self) -> None:
        """Nothing happens."""

    def serves(self, module: str) -> bool:
        """Whether an import module is wasi-nn's."""
        return module in self._layouts

    def function(self, module: str, name: str, count: int) -> Callable[..., int]:
        """The host function for an import; the engine passes the caller first.

        Args:
            module: the import module.
            name: the function.
            count: how many parameters the guest gives it.
        """
        layout = self._layouts[module]
        params = PARAMETERS[layout].get(name)
        known = params is not None and len(params) == count
        names = params if known and params is not None else tuple(f"p{i}" for i in range(count))
        return lambda caller, *values: self._call(module, layout if known else "", name, names, caller, values)

    def nobodys(self, module: str, name: str) -> None:
        """Tell a call of a function that is neither WASI's nor wasi-nn's; the guest does not come back from it."""
        self._minutes.begin_call()
        self._minutes.call(module, "", Call(name), "trap", {}, [])

    def finish(self) -> None:
        """Tell how often calls were repeated."""
        self._minutes.finish()

    def _guest_memory(self, caller: Any) -> Optional[GuestMemory]:
        if not self._looked:
            from wasmtime import Memory

            self._looked = True
            found = caller.get("memory")
            if isinstance(found, Memory):
                self._memory = self._models.memory = GuestMemory(self._store, found)
        return self._memory

    def _call(
        self, module: str, layout: str, name: str, names: Tuple[str, ...], caller: Any, values: Tuple[int, ...]
    ) -> int:
        memory = self._memory or self._guest_memory(caller)
        if memory is not None:
            memory.refresh()
        self._minutes.begin_call()
        self.figures.calls += 1
        step: Dict[str, Any] = {}
        writes: List[Tuple[str, int]] = []
        if layout:
            call = decode(layout, name, names, values, memory)
            handler = self._handlers.get(name)
            answer = "unsupported_operation" if handler is None else handler(call, step, writes)
        else:
            plain = {n: v & 0xFFFFFFFF for n, v in zip(names, values) if isinstance(v, int)}
            call = Call(name, plain, memory.size if memory is not None else 0, memory is not None)
            answer = "unsupported_operation"
        for what, value in writes:
            if memory is not None and call.readable(what):
                _U32.pack_into(memory.view, call.ranges[what][0], value & 0xFFFFFFFF)
        self._log.drain()
        self._minutes.call(module, layout, call, answer, step, writes)
        self._cell[0] = PHASE["guest"]
        return self._errno.get(answer, 1)

    def _claim(self, graph: GraphState, writes: List[Tuple[str, int]]) -> Answer:
        if len(self._graphs) >= MOST_HANDLES:
            return "too_large"
        graph.handle = self._next["graph"]
        self._next["graph"] += 1
        self._graphs[graph.handle] = graph
        self._minutes.changed()
        writes.append(("graph-out", graph.handle))
        return "success"

    def _load(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        self._cell[0] = PHASE["load"]
        began = now_ns()
        if not call.has_memory:
            return "missing_memory"
        strict = self._models.given_model(call)
        graph = self._minutes.accept(strict, step, "model")
        if strict.facts.error and strict.facts.identifier:
            loose = self._models.given_model(call, unverified=True)
            graph = self._minutes.accept(loose, step, "loose", step["model"])
        self.figures.load_ns += now_ns() - began
        pieces = ("builders", "model", "graph-out")
        if graph is None or call.builders != 1 or not all(call.readable(what) for what in pieces):
            return "invalid_argument"
        return self._claim(graph, writes)

    def _load_by_name(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        self._cell[0] = PHASE["load"]
        if not call.has_memory:
            return "missing_memory"
        if call.name is None:
            return "invalid_argument"
        graph = self._minutes.accept(self._models.named_model(call.name), step, "named")
        # Hosts that take a name for a path let it end where the guest says, or at the first NUL.
        ways = [call.name] if call.path is None or call.path == call.name else [call.name, call.path]
        files: Dict[str, Dict[str, Optional[str]]] = {}
        for path in ways:
            found = self._file(path, files)
            graph = graph or (self._models.named_model(path) if path is call.path else None) or found
        step["files"] = files
        if not call.readable("graph-out"):
            return "invalid_argument"
        return "not_found" if graph is None else self._claim(graph, writes)

    def _file(self, path: bytes, files: Dict[str, Dict[str, Optional[str]]]) -> Optional[GraphState]:
        """Tell what a path leads to, read with care and without; the graph, when some host takes it."""
        told: Dict[str, Any] = {}
        file = self._models.file_model(path)
        found = self._minutes.accept(file, told, "model")
        if file is not None and file.facts.error and file.facts.identifier:
            found = self._minutes.accept(self._models.file_model(path, unverified=True), told, "loose", told["model"])
        if file is not None:
            files[path.hex()] = told
        return found

    def _init(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        self._cell[0] = PHASE["init"]
        began = now_ns()
        graph = self._graphs.get(self._known(call.args["graph"], self._graphs))
        if graph is None or not call.readable("context-out"):
            return "invalid_argument"
        if len(self._contexts) >= MOST_HANDLES:
            return "too_large"
        context = ContextState(-1, graph)
        error = self._models.prepare(graph, context)
        self.figures.init_ns += now_ns() - began
        step["model"] = self._minutes.tell(graph)
        step["prepare"] = error
        if graph.facts.error:
            return "runtime_error"
        context.prepared = not error
        context.handle = self._next["context"]
        self._next["context"] += 1
        self._contexts[context.handle] = context
        self._minutes.changed()
        writes.append(("context-out", context.handle))
        return "success"

    def _known(self, handle: int, table: Mapping[int, Any]) -> int:
        return handle if handle in table else handle + self._first

    def _context(self, call: Call, step: Dict[str, Any]) -> Optional[ContextState]:
        context = self._contexts.get(self._known(call.args["context"], self._contexts))
        if context is not None:
            step["model"] = self._minutes.tell(context.graph)
        return context

    def _set_input(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        self._cell[0] = PHASE["set_input"]
        context = self._context(call, step)
        if context is None or call.args["index"] >= len(context.graph.facts.inputs):
            return "invalid_argument"
        if not call.readable("tensor") or "data" not in call.ranges:
            return "invalid_argument"
        index = call.args["index"]
        tensor = context.graph.facts.inputs[index]
        how, nbytes = understood(tensor, call)
        step["understood"] = how
        if how == "quantize":
            self._floats.add(context.handle)
        if context.prepared and nbytes:
            assert self._memory is not None
            live: Live = context.live
            put(how, tensor, live.inference.inputs[index], self._memory, call.ranges["data"][0], nbytes)
        if index not in context.inputs:
            context.inputs.add(index)
            self._minutes.changed()
        return "success"

    def _compute(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        self._cell[0] = PHASE["compute"]
        context = self._context(call, step)
        if context is None:
            return "invalid_argument"
        if not context.prepared:
            return "runtime_error"
        live: Live = context.live
        began = now_ns()
        try:
            live.inference.invoke()
        except Refused as error:
            step["interpreter"] = str(error)
            return "runtime_error"
        self.figures.inference(now_ns() - began)
        if not context.computed:
            context.computed = True
            self._minutes.changed()
        return "success"

    def _step(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        answer = self._compute(call, step, writes)
        context = self._contexts.get(self._known(call.args["context"], self._contexts))
        if answer == "success" and context is not None:
            live: Live = context.live
            for source, target in live.pairs:
                live.inference.inputs[target]()[...] = live.inference.outputs[source]()
            if not context.stepped:
                context.stepped = True
                self._minutes.changed()
        return answer

    def _fini(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        context = self._context(call, step)
        if context is None:
            return "invalid_argument"
        if context.prepared:
            live: Live = context.live
            for _, target in live.pairs:
                fill_zero(live.inference.facts.inputs[target], live.inference.inputs[target])
        if context.stepped:
            context.stepped = False
            self._minutes.changed()
        return "success"

    def _get_output(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        self._cell[0] = PHASE["get_output"]
        context = self._context(call, step)
        if context is None or call.args["index"] >= len(context.graph.facts.outputs):
            return "invalid_argument"
        if not call.has_memory or not call.readable("size-out"):
            return "invalid_argument"
        index = call.args["index"]
        facts = context.graph.facts.outputs[index]
        raw = facts.nbytes
        if context.prepared:
            live: Live = context.live
            raw = live.inference.output_bytes(index)
        step["output_bytes"] = raw
        how, nbytes, told = wanted(
            facts, raw, call, floats=context.handle in self._floats, count_elements=self._count_elements
        )
        if nbytes < 0:
            return "too_large"
        at = call.ranges["output"][0]
        if at + nbytes > call.memory_size:
            return "invalid_argument"
        step["given"] = how
        assert self._memory is not None
        if context.prepared and nbytes:
            tensor = context.live.inference.outputs[index]
            if how == "part":
                self._memory.view[at : at + nbytes] = flat_bytes(tensor())[:nbytes]
            else:
                get(how, facts, tensor, self._memory, at, nbytes)
        elif nbytes:
            self._memory.view[at : at + nbytes] = bytes(nbytes)
        writes.append(("size-out", told))
        return "success"

    def _unload(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        if self._graphs.pop(self._known(call.args["graph"], self._graphs), None) is None:
            return "invalid_argument"
        self._minutes.changed()
        return "success"

    def _finalize(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        if self._contexts.pop(self._known(call.args["context"], self._contexts), None) is None:
            return "invalid_argument"
        self._minutes.changed()
        return "success"
