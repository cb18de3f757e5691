"""The emulated wasi-nn host: decides each call by the personality's rules and carries it out.

The ways that a guest goes thousands of times (``set_input``, ``compute``, ``get_output``) are short: what the rules
decided about a tensor is remembered together with everything that the decision was made from, and used again while
that is the same, byte for byte. Whatever changes the host's state makes it forget.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from lading_agent.nn.calls import CRASHES, Call, Decision
from lading_agent.nn.decode import decode
from lading_agent.nn.ends import End, RunEnds
from lading_agent.nn.engine import Refused
from lading_agent.nn.memory import GuestMemory
from lading_agent.nn.reporting import PHASE, Figures, InterpreterLog, Phase, Report, now_ns
from lading_agent.nn.rules import decide
from lading_agent.nn.tensors import castable, fill_zero, get, put

if TYPE_CHECKING:
    from lading_agent.nn.models import Live, Models
    from lading_agent.nn.personality import HostFunction, Personality
    from lading_agent.nn.state import ContextState, HostState

_U32 = struct.Struct("<I")
_PAIR = struct.Struct("<II")
_MOST_REMEMBERED = 256

_GUEST, _SET, _COMPUTE, _GET = PHASE["guest"], PHASE["set_input"], PHASE["compute"], PHASE["get_output"]

_PHASE_OF = {
    "load": "load",
    "load_by_name": "load",
    "load_by_name_with_config": "load",
    "init_execution_context": "init",
    "set_input": "set_input",
    "compute": "compute",
    "compute_single": "compute",
    "get_output": "get_output",
    "get_output_single": "get_output",
}


class Host:
    """wasi-nn for one guest."""

    def __init__(
        self,
        personality: Personality,
        models: Models,
        state: HostState,
        report: Report,
        phase: Phase,
        interpreter_log: InterpreterLog,
    ) -> None:
        self.personality = personality
        self.models = models
        self.state = state
        self.report = report
        self.figures = Figures()
        self._cell = phase.cell
        self._interpreter_log = interpreter_log
        self._memory: Optional[GuestMemory] = None
        self._looked = False
        self._store: Any = None
        self._seen = -1
        self._inputs: Dict[Tuple[int, int, int], Tuple[bytes, int, int, bytes, int, Any]] = {}
        self._outputs: Dict[Tuple[int, int, int, int, int], Tuple[Any, int, int]] = {}
        self._runs: Dict[int, Any] = {}

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
        """Each function with the Python callable that implements it; the engine passes the caller first."""
        quick: Dict[str, Callable[..., int]] = {}
        if self.personality.policy.layout == "witx":
            quick = {"set_input": self._set_input, "compute": self._compute, "get_output": self._get_output}
        return [(f, quick.get(f.name) or self._plain(f)) for f in self.personality.functions.values()]

    def at_exit(self) -> None:
        """The guest has ended by itself: some hosts die only now.

        Raises:
            RunEnds: this one does.
        """
        call = Call("exit")
        decision = decide(self.personality.at_exit, call, self.state, self.models, self.personality.policy)
        self._may_end(call, decision)

    def _plain(self, function: HostFunction) -> Callable[..., int]:
        return lambda caller, *values: self._call(function, caller, values)

    def _guest_memory(self, caller: Any) -> Optional[GuestMemory]:
        """The guest's memory, looked up at its first call: perhaps in its start function, before it is an instance."""
        if not self._looked:
            from wasmtime import Memory

            self._looked = True
            found = caller.get("memory")
            if isinstance(found, Memory):
                self._memory = self.models.memory = GuestMemory(self._store, found)
        return self._memory

    # The long way: every call goes it once, and most only ever go it.

    def _call(self, function: HostFunction, caller: Any, values: Tuple[int, ...]) -> int:
        memory = self._memory or self._guest_memory(caller)
        if memory is not None:
            memory.refresh()
        self.figures.calls += 1
        policy = self.personality.policy
        phase = _PHASE_OF.get(function.name)
        if phase is not None:
            self._cell[0] = PHASE[phase]
        began = now_ns()
        call = decode(policy.layout, function.name, function.params, values, memory)
        decision = decide(function.program, call, self.state, self.models, policy)
        if phase == "load":
            self.figures.load_ns += now_ns() - began
        elif phase == "init":
            self.figures.init_ns += now_ns() - began
        if phase in ("load", "init"):
            self._interpreter_log.drain()
        if decision.action:
            self._act(decision)
        if decision.transfer is not None and memory is not None:
            self._transfer(call, decision, memory)
        for what, value in decision.writes:
            self._write(call, memory, what, value)
        if decision.reason and decision.outcome != "success":
            self.report.log("error", f"{function.name}: {decision.reason}: {decision.outcome}")
        self._may_end(call, decision)
        if self.state.version != self._seen:
            self._seen = self.state.version
            self._inputs.clear()
            self._outputs.clear()
            self._runs.clear()
        if decision.outcome == "success":
            self._remember(function, call, decision, memory)
        self._cell[0] = _GUEST
        return decision.errno

    def _may_end(self, call: Call, decision: Decision) -> None:
        if not decision.ends_run:
            return
        status = self.personality.status(decision.outcome)
        reason = f"{call.function}: {decision.reason}"
        if decision.outcome in CRASHES:
            raise RunEnds(
                End(
                    "host-crash",
                    status,
                    f"host-{decision.outcome}",
                    f"host crash (known: {reason})",
                    "the real host dies here: see the firmware profile",
                )
            )
        raise RunEnds(End("trap", status, "trap", reason, ""))

    def _write(self, call: Call, memory: Optional[GuestMemory], what: str, value: int) -> None:
        if memory is not None and call.readable(what):
            _U32.pack_into(memory.view, call.ranges[what][0], value & 0xFFFFFFFF)

    def _context(self, handle: Optional[int]) -> ContextState:
        assert handle is not None
        return self.state.contexts[handle]

    def _act(self, decision: Decision) -> None:
        context = self._context(decision.context)
        live: Live = context.live
        if decision.action == "reset":
            self._reset(live)
            return
        began = now_ns()
        try:
            if decision.action == "step":
                self._step(live)
            else:
                live.inference.invoke()
        except Refused as error:
            decision.outcome = decision.action_fail
            decision.errno = self.personality.policy.errno.get(decision.outcome, 0)
            decision.reason = f"the interpreter says: {error}"
            context.computed = context.computed and decision.action != "invoke"
            self.state.touch()
        else:
            self.figures.inference(now_ns() - began)
        self._interpreter_log.drain()

    def _step(self, live: Live) -> None:
        inference = live.inference
        inference.invoke()
        model = live.model.spec.name if live.model.spec is not None else ""
        sources = {source for source, _ in live.pairs}
        for index, tensor in enumerate(inference.outputs):
            if index not in sources:
                self._tell(model, index, live, tensor())
        for source, target in live.pairs:
            inference.inputs[target]()[...] = inference.outputs[source]()
        live.steps += 1

    def _tell(self, model: str, index: int, live: Live, value: Any) -> None:
        self.report.event(
            "tensor",
            model=model,
            output=live.inference.facts.output_label(index),
            index=index,
            step=live.steps,
            dtype=str(value.dtype),
            shape=list(value.shape),
            data=b64encode(value.tobytes()).decode(),
        )

    def _reset(self, live: Live) -> None:
        for _, target in live.pairs:
            fill_zero(live.inference.facts.inputs[target], live.inference.inputs[target])
        live.steps = 0

    def _transfer(self, call: Call, decision: Decision, memory: GuestMemory) -> None:
        transfer = decision.transfer
        assert transfer is not None
        if transfer.how in ("drop", "zeros", "clear"):  # the tensor has no part in it, and may have no memory
            if transfer.how != "drop":
                at, _ = call.ranges["output"]
                memory.array[at : at + transfer.nbytes] = 0
            return
        live: Live = self._context(decision.context).live
        facts = live.inference.facts
        if "data" in call.ranges:
            tensor = live.inference.inputs[transfer.tensor]
            at, _ = call.ranges["data"]
            put(transfer.how, facts.inputs[transfer.tensor], tensor, memory, at, transfer.nbytes)
        elif decision.outcome == "success":
            tensor = live.inference.outputs[transfer.tensor]
            at, _ = call.ranges["output"]
            get(transfer.how, facts.outputs[transfer.tensor], tensor, memory, at, transfer.nbytes)

    def _remember(self, function: HostFunction, call: Call, decision: Decision, memory: Optional[GuestMemory]) -> None:
        args, transfer = call.args, decision.transfer
        if function.name == "compute" and decision.action == "invoke":
            self._runs[_signed(args["context"])] = self._context(decision.context).live.inference.run
        if transfer is None or transfer.how != "copy" or not transfer.nbytes or memory is None:
            return
        inference = self._context(decision.context).live.inference
        context, index = _signed(args["context"]), _signed(args["index"])
        target = castable((inference.inputs if function.name == "set_input" else inference.outputs)[transfer.tensor])
        if target is None:
            return
        if function.name == "set_input" and "dims" in call.ranges and call.data_length == transfer.nbytes:
            if len(self._inputs) >= _MOST_REMEMBERED:
                self._inputs.clear()
            start = args["tensor"]
            at, length = call.ranges["dims"]
            self._inputs[(context, index, _signed(start))] = (
                bytes(memory.view[start : start + 9]),
                at,
                at + length,
                bytes(memory.view[at : at + length]),
                call.data_length,
                target,
            )
        elif function.name == "get_output" and "capacity" in args:
            if len(self._outputs) >= _MOST_REMEMBERED:
                self._outputs.clear()
            key = (context, index, _signed(args["output"]), _signed(args["capacity"]), _signed(args["size-out"]))
            self._outputs[key] = (target, transfer.nbytes, decision.writes[-1][1])

    # The short ways. Parameters come signed from the engine, and the keys hold them so.

    def _set_input(self, caller: Any, context: int, index: int, tensor: int) -> int:
        known = self._inputs.get((context, index, tensor))
        if known is not None:
            memory = self._memory
            assert memory is not None
            memory.refresh()
            view = memory.view
            head, dims, dims_end, dims_bytes, length, target = known
            at = tensor & 0xFFFFFFFF
            data, data_length = _PAIR.unpack_from(view, at + 12)
            end = data + length
            if (
                data_length == length
                and end <= memory.size
                and view[at : at + 9] == head
                and view[dims:dims_end] == dims_bytes
            ):
                memoryview(target()).cast("B")[:] = view[data:end]
                self.figures.calls += 1
                return 0
        return self._call(self.personality.functions["set_input"], caller, (context, index, tensor))

    def _compute(self, caller: Any, context: int) -> int:
        run = self._runs.get(context)
        if run is not None:
            cell, figures = self._cell, self.figures
            cell[0] = _COMPUTE
            began = now_ns()
            try:
                run()
            except (ValueError, RuntimeError):
                return self._call(self.personality.functions["compute"], caller, (context,))
            figures.inference(now_ns() - began)
            cell[0] = _GUEST
            figures.calls += 1
            return 0
        return self._call(self.personality.functions["compute"], caller, (context,))

    def _get_output(self, caller: Any, context: int, index: int, output: int, capacity: int, size_out: int) -> int:
        known = self._outputs.get((context, index, output, capacity, size_out))
        if known is not None:
            memory = self._memory
            assert memory is not None
            memory.refresh()
            source, length, told = known
            data = memoryview(source())
            if data.nbytes == length:
                at = output & 0xFFFFFFFF
                view = memory.view
                view[at : at + length] = data.cast("B")
                _U32.pack_into(view, size_out & 0xFFFFFFFF, told)
                self.figures.calls += 1
                return 0
            del data
        values = (context, index, output, capacity, size_out)
        return self._call(self.personality.functions["get_output"], caller, values)


def _signed(value: int) -> int:
    return value - 0x100000000 if value & 0x80000000 else value
