"""Runs whose wasi-nn calls are written down: by the permissive recorder, or by a personality that is replayed.

``RunSpec.trace`` chooses: ``{"mode": "record", "modules": {import module: layout}}`` lets the guest go through all of
its conversation (:mod:`lading_agent.nn.recorder`; ``keep`` names a folder for the models' bytes,
``"sizes": "elements"`` says that the guest was made for a host that counts so). ``{"mode": "calls"}`` is an ordinary
run on the personality that tells each call with its outcome.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Tuple

from lading_agent.nn.ends import End, RunEnds
from lading_agent.nn.guest import FEATURES, Guest
from lading_agent.nn.host import Host
from lading_agent.nn.link import WASI_PREVIEW1
from lading_agent.nn.recorder import Recorder

if TYPE_CHECKING:
    from lading_agent.nn.calls import Call, Decision
    from lading_agent.nn.models import Models
    from lading_agent.nn.personality import HostFunction, Personality
    from lading_agent.nn.reporting import Figures, InterpreterLog, Phase, Report
    from lading_agent.nn.state import HostState
    from lading_agent.runs.spec import RunSpec


def run_observed(
    spec: RunSpec,
    personality: Personality,
    models: Models,
    state: HostState,
    report: Report,
    phase: Phase,
    log: InterpreterLog,
) -> Tuple[End, Figures]:
    """Run a guest and tell its calls."""
    if spec.trace["mode"] == "record":
        layouts: Dict[str, str] = dict(spec.trace["modules"])
        recorder = Recorder(
            models,
            personality.policy.errno,
            layouts,
            report,
            phase,
            log,
            keep=spec.trace.get("keep", ""),
            first_handle=spec.trace.get("first_handle", 0),
            count_elements=spec.trace.get("sizes") == "elements",
        )
        end = RecordedGuest(spec, personality, recorder, log.guest_fd).run()
        recorder.finish()
        report.event("memory", bytes=recorder.memory_size())
        return end, recorder.figures
    host = TellingHost(personality, models, state, report, phase, log)
    return ToldGuest(spec, personality, host, log.guest_fd).run(), host.figures


class TellingHost(Host):
    """The emulated host; every call goes the long way and is told with what became of it."""

    def functions(self) -> List[Tuple[HostFunction, Callable[..., int]]]:
        """No short ways: they tell nothing."""
        return [(f, self._plain(f)) for f in self.personality.functions.values()]

    def tell(self, function: str, outcome: str, errno: int, reason: str) -> None:
        """One call."""
        self.report.event("call", function=function, outcome=outcome, errno=errno, reason=reason)

    def _may_end(self, call: Call, decision: Decision) -> None:
        if call.function != "exit" or decision.ends_run:
            self.tell(call.function, decision.outcome, decision.errno, decision.reason)
        super()._may_end(call, decision)


class ToldGuest(Guest):
    """A guest whose calls to what is not linked are told, too."""

    def _unlinked(self, reason: str, *values: Any) -> None:
        assert isinstance(self._host, TellingHost)
        self._host.tell("", "trap", 0, reason)
        super()._unlinked(reason, *values)


class RecordedGuest(Guest):
    """A guest on the recorder: every feature is allowed, and every import has something behind it."""

    def __init__(self, spec: RunSpec, personality: Personality, recorder: Recorder, stderr_fd: int) -> None:
        super().__init__(spec, personality, recorder, stderr_fd)
        self._recorder = recorder

    def _config(self, wasmtime: Any) -> Any:
        config = wasmtime.Config()
        for switch in FEATURES.values():
            setattr(config, switch, True)
        return config

    def _linker(self, wasmtime: Any, engine: Any) -> Any:
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        linker.allow_shadowing = True
        self._define_exit(wasmtime, linker)
        return linker

    def _check_link(self, wasmtime: Any, module: Any, linker: Any) -> None:
        for wanted in module.imports:
            kind = wanted.type
            name = wanted.name or ""
            if isinstance(kind, wasmtime.FuncType) and not self._recorder.serves(wanted.module):
                if wanted.module not in self._personality.wasi_modules or name not in WASI_PREVIEW1:
                    linker.define_func(wanted.module, name, kind, partial(self._nobodys, wanted.module, name))
                continue
            if self._recorder.serves(wanted.module) and isinstance(kind, wasmtime.FuncType):
                results = [str(r) for r in kind.results]
                function = self._recorder.function(wanted.module, name, len(kind.params))
                if results == ["i32"] and all(str(p) == "i32" for p in kind.params):
                    linker.define_func(wanted.module, name, kind, function, access_caller=True)
                    continue
                unknown = self._recorder.function(wanted.module, name, -1)
                answer = partial(_shaped, unknown, results)
                linker.define_func(wanted.module, name, kind, answer, access_caller=True)
        linker.define_unknown_imports_as_traps(module)

    def _nobodys(self, module: str, name: str, *_: Any) -> None:
        """A call of what is neither WASI nor wasi-nn: no host has it."""
        self._recorder.nobodys(module, name)
        raise RunEnds(End("trap", self._status("trap"), "trap", f"the guest called {module}::{name}, which nobody has"))


def _shaped(function: Callable[..., int], results: List[str], *values: Any) -> Any:
    """A call of a type that wasi-nn does not have: it is told, and zeros come back."""
    function(*values)
    zeros = [0.0 if r.startswith("f") else 0 if r.startswith("i") else None for r in results]
    return None if not zeros else zeros[0] if len(zeros) == 1 else zeros
