"""What a firmware profile says a probe guest will meet: the guest's calls, walked through the pure decision core.

Nothing runs here. Memory is an array of bytes with the guest's own image; each call is decoded and decided by the very
code that the emulated host uses, and echo models answer with what was put into them.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

from lading.probe.guests import ERRNO_BASE
from lading.probe.models import model
from lading.probe.observed import End, GuestResult
from lading.probe.prologues import NAME
from lading.probe.script import LAYOUT_OF, SIZE, Ref
from lading_agent.nn.calls import Call, Decision
from lading_agent.nn.decode import PARAMETERS, decode
from lading_agent.nn.facts import read_model, read_unverified
from lading_agent.nn.link import Import, link
from lading_agent.nn.personality import Personality
from lading_agent.nn.rules import decide
from lading_agent.nn.state import ContextState, GraphState, HostState
from lading_agent.nn.tensors import get, put
from lading_agent.runs.spec import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lading.probe.script import Program, RawCall
    from lading_agent.nn.facts import ModelFacts, TensorFacts

UNKNOWN: Final = b""
"""Stands for a piece of memory that cannot be foretold."""


class Predictor:
    """Foretells what guests meet on one firmware.

    Args:
        profile: the resolved firmware profile.
        named: whether the host is told the echo model by name.
    """

    def __init__(self, profile: Mapping[str, Any], *, named: bool = True) -> None:
        self.personality = Personality.from_json(profile)
        self._named = named
        firmware, run = self.personality.limits, Limits()
        self._graphs = _least(run.graphs, firmware.get("graphs"))
        self._contexts = _least(run.contexts, firmware.get("contexts"))
        self._model_bytes = _least(run.model_bytes, firmware.get("model_bytes"))

    def __call__(self, programs: Sequence[Program]) -> list[GuestResult]:
        """One result for each guest."""
        return [self.one(program) for program in programs]

    def one(self, program: Program) -> GuestResult:
        """What one guest meets."""
        if program.raw is not None:
            return GuestResult({}, self._end("not-loadable", "invalid_module"))
        if program.feature:
            return self._feature(program.feature)
        problem = link(self.personality, _imports(program))
        if problem is not None and problem.outcome == "link-error":
            return GuestResult({}, self._end("link-error", "link_error", problem.reason))
        return _Walk(self.personality, self._state(), program, named=self._named).result()

    def _state(self) -> HostState:
        return HostState(graph_limit=self._graphs, context_limit=self._contexts, model_bytes_limit=self._model_bytes)

    def _feature(self, name: str) -> GuestResult:
        """What the profile leaves open is the engine's business, and cannot be foretold."""
        taken = True if name == "mvp" else self.personality.wasm_features.get(name)
        if taken is None:
            return GuestResult({}, End("unknown", -1))
        if taken:
            return GuestResult({}, End("exit", 0))
        return GuestResult({}, self._end("not-loadable", "invalid_module"))

    def _end(self, outcome: str, kind: str, message: str = "") -> End:
        return End(outcome, self.personality.status(kind), message)


def _imports(program: Program) -> list[Import]:
    layout = PARAMETERS[LAYOUT_OF[program.module]]
    made = [Import(program.module, f, ("i32",) * len(layout[f]), ("i32",)) for f in program.functions]
    made += [Import(m, n, ("i32",) * count, ("i32",)) for m, n, count in program.imports]
    if program.memory:
        made.append(Import(program.wasi, "fd_write", ("i32",) * 4, ("i32",)))
    if program.end == "exit" or not program.memory:
        made.append(Import(program.wasi, "proc_exit", ("i32",), ()))
    return made


def _least(run: int, firmware: int | None) -> int:
    return run if firmware is None else min(run, firmware)


class _Memory:
    """Guest memory without a guest."""

    def __init__(self, program: Program) -> None:
        import numpy as np

        self.size = SIZE
        data = bytearray(SIZE)
        for at, piece in program.pieces:
            data[at : at + len(piece)] = piece
        self.view = memoryview(data)
        self.array = np.frombuffer(data, dtype=np.uint8)


class _Echo:
    """A context's tensors. The one output is the one input; until one is put, nothing is known of either."""

    def __init__(self, facts: ModelFacts) -> None:
        import numpy as np

        self.inputs = [np.zeros(t.shape, t.dtype) for t in facts.inputs]
        self.outputs = [np.zeros(t.shape, t.dtype) for t in facts.outputs]
        self.given = self.known = False

    def invoke(self) -> None:
        """Copy the bytes; shapes are the same."""
        for source, target in zip(self.inputs, self.outputs, strict=False):
            target.view("u1")[...] = source.view("u1")
        self.known = self.given


class _World:
    """What the rules ask beyond the call."""

    def __init__(self, memory: _Memory, *, named: bool) -> None:
        self._memory = memory
        self._named = named

    def given_model(self, call: Call, *, unverified: bool = False) -> GraphState:
        at, length = call.ranges.get("model", (0, 0))
        data = bytes(self._memory.view[at : at + length])
        return GraphState(-1, read_unverified(data)[0] if unverified else read_model(data))

    def named_model(self, name: bytes) -> GraphState | None:
        return GraphState(-1, read_model(model("echo_f32"))) if self._named and name == NAME.encode() else None

    def file_model(self, path: bytes, *, unverified: bool = False) -> GraphState | None:  # noqa: ARG002
        return None  # no directory is opened for a probe guest

    def named_size(self, name: bytes) -> int | None:
        return len(model("echo_f32")) if self._named and name == NAME.encode() else None

    def prepare(self, graph: GraphState, context: ContextState) -> str:
        if graph.facts.error:
            return graph.facts.error
        context.live = _Echo(graph.facts)
        return ""

    def output_bytes(self, context: ContextState, index: int) -> int:
        return context.graph.facts.outputs[index].nbytes


class _Walk:
    """One guest's way through its calls."""

    def __init__(self, personality: Personality, state: HostState, program: Program, *, named: bool) -> None:
        self._personality = personality
        self._policy = personality.policy
        self._state = state
        self._program = program
        self._memory = _Memory(program)
        self._world = _World(self._memory, named=named)
        self._calls: dict[int, tuple[int, tuple[bytes, ...]]] = {}
        self._unsure: set[int] = set()
        """Addresses of outputs whose content cannot be foretold."""

    def result(self) -> GuestResult:
        errno, item, ok = 0, None, True
        for number, call in enumerate(self._program.calls):
            if call.item != item:
                item, ok = call.item, True
            if call.if_ok and not ok:
                continue
            decision = self._call(call)
            if decision is None or decision.ends_run:
                kind = decision.outcome if decision is not None else "trap"
                return self._over(End(kind, self._personality.status(kind), decision.reason if decision else ""))
            errno = decision.errno
            ok = ok and not errno
            self._calls[number] = (errno, tuple(self._piece(at, length) for at, length in call.watch))
        if not self._program.memory:
            return GuestResult({}, End("exit", ERRNO_BASE + (errno & 63)), began=False)
        if self._program.end == "trap":
            return self._over(End("trap", self._personality.status("trap")))
        exited = decide(self._personality.at_exit, Call("exit"), self._state, self._world, self._policy)
        if exited.ends_run:
            end = End(exited.outcome, self._personality.status(exited.outcome), exited.reason)
            return GuestResult(self._calls, end, began=True, finished=True)
        status = self._program.status if self._program.end == "exit" else 0
        return GuestResult(self._calls, End("exit", status), began=True, finished=True)

    def _over(self, end: End) -> GuestResult:
        if not self._program.memory:
            return GuestResult({}, end)
        return GuestResult(self._calls, end, began=True)

    def _call(self, raw: RawCall) -> Decision | None:
        """Decide one call and carry it out; None for one that the host does not have."""
        layout = LAYOUT_OF[self._program.module]
        function = self._personality.functions.get(raw.function)
        if self._program.module not in self._personality.modules or function is None or layout != self._policy.layout:
            return None
        values = [self._u32(arg.at) if isinstance(arg, Ref) else arg for arg in raw.args]
        memory = self._memory if self._program.memory else None
        call = decode(layout, raw.function, function.params, values, memory)
        decision = decide(function.program, call, self._state, self._world, self._policy)
        if decision.action == "invoke":
            self._echo(decision).invoke()
        self._transfer(call, decision)
        for what, value in decision.writes:
            if call.readable(what):
                struct.pack_into("<I", self._memory.view, call.ranges[what][0], value & 0xFFFFFFFF)
        return decision

    def _echo(self, decision: Decision) -> _Echo:
        assert decision.context is not None
        live = self._state.contexts[decision.context].live
        assert isinstance(live, _Echo)
        return live

    def _transfer(self, call: Call, decision: Decision) -> None:
        transfer = decision.transfer
        if transfer is None:
            return
        if transfer.how in ("drop", "zeros", "clear"):  # the tensor has no part in it
            if transfer.how != "drop":
                at = call.ranges["output"][0]
                self._memory.array[at : at + transfer.nbytes] = 0
            return
        echo = self._echo(decision)
        assert decision.context is not None
        facts = self._state.contexts[decision.context].graph.facts
        memory: Any = self._memory
        tensor: TensorFacts
        if "data" in call.ranges:
            tensor, array = facts.inputs[transfer.tensor], echo.inputs[transfer.tensor]
            put(transfer.how, tensor, lambda: array, memory, call.ranges["data"][0], transfer.nbytes)
            echo.given = True
        else:
            tensor, array = facts.outputs[transfer.tensor], echo.outputs[transfer.tensor]
            get(transfer.how, tensor, lambda: array, memory, call.ranges["output"][0], transfer.nbytes)
            if not echo.known:
                self._unsure.add(call.ranges["output"][0])

    def _piece(self, at: int, length: int) -> bytes:
        return UNKNOWN if at in self._unsure else bytes(self._memory.view[at : at + length])

    def _u32(self, at: int) -> int:
        return int(struct.unpack_from("<I", self._memory.view, at)[0])
