"""A trace walked through a personality's rules: what its host answers to each call, until it is not success."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lading.check.world import TracedWorld
from lading_agent.nn.calls import Call
from lading_agent.nn.rules import decide
from lading_agent.nn.state import HostState
from lading_agent.runs.spec import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.trace.document import Trace, TracedCall
    from lading_agent.nn.calls import Decision
    from lading_agent.nn.personality import Personality

SUCCESS: Final = "success"
EXIT: Final = "exit"


@dataclass(frozen=True)
class Divergence:
    """A call that is not answered by success; ``call`` is None for the end of the guest."""

    call: TracedCall | None
    step: int
    function: str
    outcome: str
    errno: int
    reason: str
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """How far the conversation goes on a personality."""

    first: Divergence | None
    """The first call that differs from success."""
    handled: bool = False
    """Every call that differs from success was answered in the trace by the same number, and the guest went on."""
    beyond: TracedCall | None = None
    """A call that succeeds here and did not in the trace: what the guest does next is not known."""
    warnings: tuple[str, ...] = ()


def replay(trace: Trace, personality: Personality, missing: Mapping[tuple[str, str], str]) -> Replayed:
    """Walk through a trace.

    Args:
        trace: what the guest does as long as it gets what it wants.
        personality: the firmware's.
        missing: imports that are linked only to trap when they are called: module and name, with the reason.
    """
    return _Walk(trace, personality, missing).result()


def host_state(personality: Personality) -> HostState:
    """An empty host with the limits of a run on this firmware."""
    run = Limits()

    def least(limit: int, name: str) -> int:
        own = personality.limits.get(name)
        return limit if own is None else min(limit, own)

    return HostState(
        graph_limit=least(run.graphs, "graphs"),
        context_limit=least(run.contexts, "contexts"),
        model_bytes_limit=least(run.model_bytes, "model_bytes"),
    )


class _Walk:
    def __init__(self, trace: Trace, personality: Personality, missing: Mapping[tuple[str, str], str]) -> None:
        self._trace = trace
        self._personality = personality
        self._missing = missing
        self._state = host_state(personality)
        self._world = TracedWorld(trace)
        self._handles: dict[str, dict[int, int]] = {"graph": {}, "context": {}}
        self._warnings: dict[str, None] = {}
        self._cleared: dict[tuple[int, int, int], str] = {}
        """Outputs that came as zeros, by context, index and place, unless the same was read again and came."""

    def result(self) -> Replayed:
        first: Divergence | None = None
        handled = True
        for traced in self._trace.calls:
            found = self._step(traced)
            if found is None:
                if traced.outcome != SUCCESS:
                    return self._done(first, handled=False, beyond=traced)
                continue
            first = first or found
            if found.outcome in ("trap", "abort", "segv") or found.errno != traced.errno:
                handled = False
                break
        else:
            last = self._exit()
            if last is not None:
                first, handled = first or last, False
        return self._done(first, handled=handled and first is not None)

    def _done(self, first: Divergence | None, *, handled: bool, beyond: TracedCall | None = None) -> Replayed:
        return Replayed(first, handled, beyond, tuple(dict.fromkeys((*self._warnings, *self._cleared.values()))))

    def _step(self, traced: TracedCall) -> Divergence | None:
        personality = self._personality
        unlinked = self._missing.get((traced.module, traced.function))
        function = personality.functions.get(traced.function)
        if unlinked is None and (traced.module not in personality.modules or function is None):
            unlinked = f"import {traced.module}::{traced.function} is not provided by {personality.id}"
        if unlinked is not None or function is None:
            reason = f"the guest called what is not linked: {unlinked}"
            return Divergence(traced, traced.n, traced.function, "trap", 0, reason)
        self._world.now = traced
        decision = decide(function.program, self._call(traced), self._state, self._world, personality.policy)
        refused = traced.told.get("interpreter")
        if decision.action in ("invoke", "step") and refused:
            self._refuse(decision, str(refused))
        if decision.outcome == SUCCESS:
            self._note(traced, decision)
            return None
        return Divergence(
            traced, traced.n, traced.function, decision.outcome, decision.errno, decision.reason, function.params
        )

    def _call(self, traced: TracedCall) -> Call:
        """The call with the handles that this host would have given; numbers of the guest's own stay."""
        fixed = traced.told.get("fixed", ())
        args = {
            name: self._handles[name].get(value, value) if name in self._handles and name not in fixed else value
            for name, value in traced.call.args.items()
        }
        return replace(traced.call, args=args) if args != traced.call.args else traced.call

    def _refuse(self, decision: Decision, word: str) -> None:
        """The interpreter says no, as it did in the traced run."""
        assert decision.context is not None
        context = self._state.contexts[decision.context]
        decision.outcome = decision.action_fail
        decision.errno = self._personality.policy.errno.get(decision.outcome, 0)
        decision.reason = f"the interpreter says: {word}"
        context.computed = context.computed and decision.action != "invoke"
        self._state.touch()

    def _note(self, traced: TracedCall, decision: Decision) -> None:
        """Handles that were given, and data that passes in another way than in the trace."""
        for what, value in decision.writes:
            kind = what.removesuffix("-out")
            if kind in self._handles and what in traced.writes:
                self._handles[kind][traced.writes[what]] = value
        transfer = decision.transfer
        if transfer is None:
            return
        given, how = traced.told.get("given"), transfer.how
        if given is not None and how in ("copy", "dequantize"):
            self._cleared.pop(_destination(traced), None)
        if how == "drop":
            self._warnings[f"input {transfer.tensor}: this host takes the call and drops the data"] = None
        elif how == "zeros" or how == "clear":
            self._cleared[_destination(traced)] = f"output {transfer.tensor}: this host gives zeros"
        elif given in ("copy", "dequantize") and how in ("copy", "dequantize") and how != given:
            form = "f32 numbers" if how == "dequantize" else "the tensor's own integers"
            self._warnings[f"output {transfer.tensor}: this host gives {form}, the trace gave the other form"] = None
        told = dict(decision.writes).get("size-out")
        seen = traced.writes.get("size-out")
        if told is not None and seen is not None and told != seen:
            self._warnings[
                f"output {transfer.tensor}: the size that is written back is {told}, in the trace {seen}"
            ] = None

    def _exit(self) -> Divergence | None:
        """Some hosts die only when the guest ends."""
        if self._trace.end.outcome not in ("exit", "trap"):
            return None
        personality = self._personality
        self._world.now = None
        decision = decide(personality.at_exit, Call(EXIT), self._state, self._world, personality.policy)
        if not decision.ends_run:
            return None
        step = self._trace.call_count + 1
        return Divergence(None, step, EXIT, decision.outcome, 0, decision.reason)


def _destination(traced: TracedCall) -> tuple[int, int, int]:
    """Which output goes where."""
    args = traced.call.args
    return args.get("context", -1), args.get("index", -1), args.get("output", -1)
