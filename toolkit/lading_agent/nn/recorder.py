"""A host that says yes: it lets a guest go through its whole conversation and writes down every wasi-nn call.

It takes every numbering, every type, shape and length, and both memory layouts, so that what the guest would do on some
firmware after a success is in the trace. It says no only where every host does: to what lies outside memory, to handles
and indices that nobody gave, to bytes that are no model, to a buffer that cannot hold the output. Models run on the
real interpreter, and numbers are right where the guest's bytes can be understood.

Each call becomes a ``call`` event of the report, each model a ``model`` event (before the first call that needs it).
Calls that change nothing and were made before are counted, and told at the end in a ``repeats`` event.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from lading_agent.nn.calls import Call
from lading_agent.nn.decode import PARAMETERS, decode
from lading_agent.nn.engine import Refused
from lading_agent.nn.memory import GuestMemory
from lading_agent.nn.reporting import PHASE, Figures, now_ns
from lading_agent.nn.state import ContextState, GraphState
from lading_agent.nn.tensors import fill_zero, flat_bytes, get, put
from lading_agent.nn.tracedoc import call_to_json, facts_to_json

if TYPE_CHECKING:
    from lading_agent.nn.facts import TensorFacts
    from lading_agent.nn.models import HeldModel, Live, Models
    from lading_agent.nn.personality import HostFunction
    from lading_agent.nn.reporting import InterpreterLog, Phase, Report

MOST_CALLS = 4096
"""Calls that are written down; a guest that makes more different ones has an incomplete trace."""

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
        """
        self._first = first_handle
        self._models = models
        self._keep = keep
        self._errno = errno
        self._layouts = layouts
        self._report = report
        self._cell = phase.cell
        self._log = interpreter_log
        self._memory: Optional[GuestMemory] = None
        self._looked = False
        self._store: Any = None
        self._graphs: Dict[int, GraphState] = {}
        self._contexts: Dict[int, ContextState] = {}
        self._next = {"graph": first_handle, "context": first_handle}
        self._floats: Set[int] = set()
        self._told: Dict[int, Tuple[HeldModel, str]] = {}
        self._seen: Dict[str, List[int]] = {}
        self._version = 0
        self._n = 0
        self._written = 0
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
        self._n += 1
        self._write_down(module, "", Call(name), "trap", {}, [])

    def finish(self) -> None:
        """Tell how often calls were repeated."""
        repeats = [[n, times] for n, times in self._seen.values() if times > 1]
        self._report.event("repeats", calls=self._n, written=self._written, repeats=repeats)

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
        self._n += 1
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
        self._write_down(module, layout, call, answer, step, writes)
        self._cell[0] = PHASE["guest"]
        return self._errno.get(answer, 1)

    def _write_down(
        self,
        module: str,
        layout: str,
        call: Call,
        answer: Answer,
        step: Dict[str, Any],
        writes: List[Tuple[str, int]],
    ) -> None:
        doc: Dict[str, Any] = {
            "module": module,
            "function": call.function,
            "layout": layout or None,
            "outcome": answer,
            "errno": self._errno.get(answer, 1),
            "writes": dict(writes),
            "readable": {what: call.readable(what) for what in call.ranges},
            **step,
            "call": call_to_json(call),
        }
        key = f"{self._version} {json.dumps({**doc, 'call': _alike(call)}, sort_keys=True)}"
        seen = self._seen.get(key)
        if seen is not None:
            seen[1] += 1
            return
        if self._written >= MOST_CALLS:
            return
        self._written += 1
        self._seen[key] = [self._n, 1]
        self._report.event("call", n=self._n, **doc)

    # Models: what they are is told once, whatever they are loaded for.

    def _tell(self, graph: GraphState, strict: str = "") -> str:
        """The model's name in the trace; ``strict`` is that of the same bytes read with care."""
        held: HeldModel = graph.model
        known = self._told.get(id(held))
        if known is not None:
            return known[1]
        spec = held.spec
        if strict:
            digest, name = strict.partition("#")[0], f"{strict}#as-read"
        else:
            content = self._models.content(held)
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            if self._keep:
                Path(self._keep, digest.partition(":")[2]).write_bytes(content)
            name = digest + (f"#{spec.name}@{spec.version}" if spec is not None else "")
        new = all(name != told for _, told in self._told.values())
        self._told[id(held)] = (held, name)
        if new:
            self._report.event(
                "model",
                id=name,
                digest=digest,
                size=graph.facts.size,
                called=spec.name if spec is not None else None,
                version=spec.version if spec is not None else "",
                encoding=spec.encoding if spec is not None else None,
                target=spec.target if spec is not None else None,
                int8=graph.int8,
                state=dict(graph.state),
                facts=facts_to_json(graph.facts),
            )
        return name

    def _accept(
        self, graph: Optional[GraphState], step: Dict[str, Any], key: str, strict: str = ""
    ) -> Optional[GraphState]:
        """Tell a model; the graph, when some host takes it."""
        if graph is None:
            step[key] = None
            return None
        step[key] = self._tell(graph, strict)
        return graph if graph.facts.identifier or not graph.facts.error else None

    def _claim(self, graph: GraphState, writes: List[Tuple[str, int]]) -> Answer:
        if len(self._graphs) >= MOST_HANDLES:
            return "too_large"
        graph.handle = self._next["graph"]
        self._next["graph"] += 1
        self._graphs[graph.handle] = graph
        self._version += 1
        writes.append(("graph-out", graph.handle))
        return "success"

    def _load(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:
        self._cell[0] = PHASE["load"]
        began = now_ns()
        if not call.has_memory:
            return "missing_memory"
        strict = self._models.given_model(call)
        graph = self._accept(strict, step, "model")
        if strict.facts.error and strict.facts.identifier:
            loose = self._models.given_model(call, unverified=True)
            graph = self._accept(loose, step, "loose", step["model"])
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
        graph = self._accept(self._models.named_model(call.name), step, "named")
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
        found = self._accept(file, told, "model")
        if file is not None and file.facts.error and file.facts.identifier:
            found = self._accept(self._models.file_model(path, unverified=True), told, "loose", told["model"])
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
        step["model"] = self._tell(graph)
        step["prepare"] = error
        if graph.facts.error:
            return "runtime_error"
        context.prepared = not error
        context.handle = self._next["context"]
        self._next["context"] += 1
        self._contexts[context.handle] = context
        self._version += 1
        writes.append(("context-out", context.handle))
        return "success"

    def _known(self, handle: int, table: Mapping[int, Any]) -> int:
        return handle if handle in table else handle + self._first

    def _context(self, call: Call, step: Dict[str, Any]) -> Optional[ContextState]:
        context = self._contexts.get(self._known(call.args["context"], self._contexts))
        if context is not None:
            step["model"] = self._tell(context.graph)
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
        how, nbytes = self._understood(tensor, call)
        step["understood"] = how
        if how == "quantize":
            self._floats.add(context.handle)
        if context.prepared and nbytes:
            assert self._memory is not None
            live: Live = context.live
            put(how, tensor, live.inference.inputs[index], self._memory, call.ranges["data"][0], nbytes)
        if index not in context.inputs:
            context.inputs.add(index)
            self._version += 1
        return "success"

    @staticmethod
    def _understood(tensor: TensorFacts, call: Call) -> Tuple[str, int]:
        """What the guest's bytes are: the tensor's own, f32 for it, or nothing that can be used."""
        given = 4 * tensor.count if call.data_length is None else call.data_length
        if call.ranges["data"][0] + given > call.memory_size:
            return "drop", 0
        if given == tensor.nbytes:
            return "copy", tensor.nbytes
        if tensor.quantized and given == 4 * tensor.count:
            return "quantize", given
        return "drop", 0

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
            self._version += 1
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
                self._version += 1
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
            self._version += 1
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
        how, nbytes, told = self._wanted(facts, raw, call, floats=context.handle in self._floats)
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

    @staticmethod
    def _wanted(facts: TensorFacts, raw: int, call: Call, *, floats: bool) -> Tuple[str, int, int]:
        """How an output goes out: the way, the bytes (-1: it cannot), and the size that is told."""
        elements = raw // max(facts.element_bytes, 1)
        if call.capacity < min(elements, raw // 4, raw):
            return "", -1, 0
        if "capacity" not in call.args:
            # The old layout counts elements and hands out f32; a guest that gives bytes has more than enough.
            return ("dequantize", 4 * elements, elements) if facts.quantized else ("copy", raw, elements)
        if facts.quantized and floats and call.capacity >= 4 * elements:
            return "dequantize", 4 * elements, 4 * elements
        if call.capacity < raw:  # some hosts count other things than bytes, and overrun the buffer: we do not
            return "part", call.capacity, raw
        return "copy", raw, raw

    def _unload(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        if self._graphs.pop(self._known(call.args["graph"], self._graphs), None) is None:
            return "invalid_argument"
        self._version += 1
        return "success"

    def _finalize(self, call: Call, step: Dict[str, Any], writes: List[Tuple[str, int]]) -> Answer:  # noqa: ARG002
        if self._contexts.pop(self._known(call.args["context"], self._contexts), None) is None:
            return "invalid_argument"
        self._version += 1
        return "success"


_PLAIN = (
    "graph",
    "context",
    "index",
    "capacity",
    "encoding",
    "target",
    "builder-count",
    "name-length",
    "config-length",
)
"""Parameters that are no pointers."""

_FAR = 4096


def _alike(call: Call) -> Dict[str, Any]:
    """A call without what no host looks at: where in memory a piece lies, unless it is near the end."""
    doc = call_to_json(call)
    doc.pop("memory_size", None)
    doc["args"] = {name: value for name, value in call.args.items() if name in _PLAIN}
    doc["ranges"] = {
        what: [length if at + 5 * length + _FAR <= call.memory_size else at, length]
        for what, (at, length) in call.ranges.items()
    }
    return doc
