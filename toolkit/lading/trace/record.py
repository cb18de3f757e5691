"""Running a guest once on the permissive recorder."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.errors import ModuleError
from lading.trace.document import End, Trace, TracedCall, TracedModel
from lading.trace.needs import model_needs, module_needs
from lading.trace.numbering import find_numbering
from lading_agent.nn.tracedoc import call_from_json, facts_from_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lading.trace.subject import Subject
    from lading_agent.runs.launch import RunnerCommand
    from lading_agent.runs.result import RunResult
    from lading_agent.runs.spec import RunSpec

BASE: Final = "lading-litert"
"""The firmware profile whose errno numbers, WASI and exit statuses the recorder has: our own host's."""

TIME_S: Final = 60.0

MEMORY: Final = 2 * 1024**3
"""Bytes that guest and models may take while they are watched, where the app says nothing of its own."""

OTHER_HANDLES: Final = 0x5EED0000
_HANDLES: Final = ("graph-out", "context-out")

_OWN: Final = frozenset(
    ("event", "n", "module", "function", "layout", "outcome", "errno", "writes", "call")
)  # everything else of an event is what the host learnt


@dataclass(frozen=True)
class Answers:
    """How the recorder numbers its answers: a guest that was rewritten for a host expects that host's numbers."""

    errno: Mapping[str, int]
    count_elements: bool = False
    """Sizes of outputs count elements, not bytes."""


def record(
    subject: Subject,
    *,
    stdin: int | None = None,
    on_stdout: Callable[[bytes], None] = lambda _data: None,
    on_stderr: Callable[[bytes], None] = lambda _data: None,
    time_s: float = TIME_S,
    project_dir: Path | None = None,
    command: RunnerCommand | None = None,
    run_without_nn: bool = True,
    answers: Answers | None = None,
    layouts: Mapping[str, str] | None = None,
) -> Trace:
    """Run a guest on the recorder and write down its wasi-nn calls.

    Args:
        subject: the guest and what it needs.
        stdin: a descriptor for its standard input; None for an empty one.
        on_stdout: takes its standard output.
        on_stderr: takes its standard error.
        time_s: how long it may take.
        project_dir: whose firmware profiles count as well.
        command: starts another runner than the Python host.
        run_without_nn: also run a module that imports nothing of wasi-nn, of which there is nothing to record.
        answers: numbers of the answers, where they are not lading's own.
        layouts: what :func:`layouts_of` gives, for whoever records several guests.

    Returns:
        The trace; a guest that failed has one too, and its end says how.

    Raises:
        ModuleError: the module is malformed, or a component.
    """
    from lading_agent.runs import supervise

    try:
        needs = module_needs(subject.module)
    except ModuleError as error:
        raise ModuleError(
            f"{subject.module.name}: {error.message}", remedy=error.remedy, details=error.details
        ) from error
    if needs["kind"] != "core":
        message = "this is a WebAssembly component; calls are recorded of core modules"
        return _trace(subject, needs, [], {}, End("not-loadable", 126, "component", message), "")
    if not needs["nn_modules"] and not run_without_nn:
        return _trace(subject, needs, [], {}, End("exit", 0, "not-run", "the module imports no wasi-nn"), "")
    events: list[dict[str, Any]] = []

    def run(spec: RunSpec, told: list[dict[str, Any]], *, again: bool = False) -> RunResult:
        return supervise.run(
            spec,
            stdin=stdin,
            on_stdout=_nothing if again else on_stdout,
            on_stderr=_nothing if again else on_stderr,
            on_report=told.append,
            command=command,
        )

    with tempfile.TemporaryDirectory(prefix="lading-models-") as keep:
        spec = recording_spec(
            subject, keep=keep, time_s=time_s, project_dir=project_dir, answers=answers, layouts=layouts
        )
        result = run(spec, events)
        end = _end(result, events, time_s)
        if several_handles(events) and _rewound(stdin):
            others: list[dict[str, Any]] = []
            run(with_other_handles(spec), others, again=True)
            tell_fixed_handles(events, others)
        models = {e["id"]: _model(e, Path(keep)) for e in events if e["event"] == "model"}
    return _trace(subject, needs, events, models, end, str(result.metrics.get("runtime", "")))


def _end(result: RunResult, events: list[dict[str, Any]], time_s: float) -> End:
    """How a run ended.

    A guest that infers for ever is mostly in the middle of an inference when its time is over. That the interpreter is
    stuck in one is said only of guests that never got an output.
    """
    if result.kind == "interpreter-stuck" and any(map(_gives_output, events)):
        message = f"over the time limit of {time_s:g} s: it goes on inferring"
        return End(result.outcome, result.status, "time-limit", message)
    return End(result.outcome, result.status, result.kind, result.message)


def _gives_output(event: Mapping[str, Any]) -> bool:
    return (
        event["event"] == "call" and event["outcome"] == "success" and str(event["function"]).startswith("get_output")
    )


def _nothing(_data: bytes) -> None:
    """Of a second run nobody wants the output."""


def _rewound(stdin: int | None) -> bool:
    """Whether a second run can be given the same standard input."""
    if stdin is None:
        return True
    try:
        os.lseek(stdin, 0, os.SEEK_SET)
    except OSError:
        return False
    return stat.S_ISREG(os.fstat(stdin).st_mode)


def several_handles(events: list[dict[str, Any]]) -> bool:
    """Whether handles other than 0 were given: then it counts whether the guest uses them, or numbers of its own."""
    return any(value for e in events if e["event"] == "call" for what, value in e["writes"].items() if what in _HANDLES)


def with_other_handles(spec: RunSpec) -> RunSpec:
    """The same run with handles that no guest makes up."""
    return replace(spec, trace={**spec.trace, "keep": "", "first_handle": OTHER_HANDLES})


def tell_fixed_handles(events: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """Note which handles are the guest's own numbers: they are the same in a run that gave other ones."""
    calls = [[e for e in told if e["event"] == "call"] for told in (events, others)]
    for ours, theirs in zip(*calls, strict=False):
        if ours["function"] != theirs["function"]:
            return
        mine, other = ours["call"].get("args", {}), theirs["call"].get("args", {})
        fixed = [name for name in ("graph", "context") if name in mine and mine[name] == other.get(name)]
        if fixed:
            ours["fixed"] = fixed


def recording_spec(
    subject: Subject,
    *,
    keep: str = "",
    time_s: float = TIME_S,
    project_dir: Path | None = None,
    answers: Answers | None = None,
    layouts: Mapping[str, str] | None = None,
) -> RunSpec:
    """What the runner is told."""
    from lading import profiles
    from lading_agent.runs.spec import Limits, RunSpec

    personality = profiles.shipped(BASE).resolved()
    modules = layouts_of(project_dir) if layouts is None else layouts
    trace: dict[str, Any] = {"mode": "record", "modules": dict(modules), "keep": keep}
    if answers is not None:
        personality["abi"]["errno"] = {**personality["abi"]["errno"], **answers.errno}
        trace["sizes"] = "elements" if answers.count_elements else "bytes"
    return RunSpec(
        module=str(subject.module),
        personality=personality,
        args=subject.args,
        env=dict(subject.env),
        dirs=subject.dirs,
        models=subject.models,
        limits=Limits(time_s=time_s, memory_bytes=subject.memory_bytes or MEMORY),
        trace=trace,
    )


def layouts_of(project_dir: Path | None = None) -> dict[str, str]:
    """The memory layout of each import module under which some known firmware offers wasi-nn."""
    from lading import profiles

    # A profile that cannot be used is named by whoever judges by it; a recording only needs to know import modules.
    known = profiles.load_all(project_dir, skipped=lambda _error: None)
    return {m: p.abi.layout for p in known.values() if p.abi is not None for m in p.abi.modules}


def trace_of(subject: Subject, needs: Mapping[str, Any], events: list[dict[str, Any]], end: End, keep: Path) -> Trace:
    """A trace from the events of a run that somebody else supervised."""
    models = {e["id"]: _model(e, keep) for e in events if e["event"] == "model"}
    return _trace(subject, needs, events, models, end, "")


def _trace(
    subject: Subject,
    needs: Mapping[str, Any],
    events: list[dict[str, Any]],
    models: dict[str, TracedModel],
    end: End,
    engine: str,
) -> Trace:
    repeats: dict[int, int] = {}
    count, written, memory = 0, 0, 0
    for event in events:
        if event["event"] == "repeats":
            repeats = dict(event["repeats"])
            count = event["calls"]
        elif event["event"] == "memory":
            memory = event["bytes"]
    calls = tuple(_call(e, repeats) for e in events if e["event"] == "call")
    written = sum(c.times for c in calls)
    return Trace(
        subject=subject.label,
        module=needs,
        args=subject.args,
        models=models,
        calls=calls,
        numbering=find_numbering(calls, models),
        end=end,
        memory_bytes=memory,
        call_count=max(count, len(calls)),
        complete=count == written or not end.by_itself,
        missing_env=subject.missing_env,
        engine=engine,
    )


def _call(event: Mapping[str, Any], repeats: Mapping[int, int]) -> TracedCall:
    return TracedCall(
        n=event["n"],
        module=event["module"],
        function=event["function"],
        layout=event["layout"],
        call=call_from_json(event["call"]),
        outcome=event["outcome"],
        errno=event["errno"],
        writes=event["writes"],
        times=repeats.get(event["n"], 1),
        told={key: value for key, value in event.items() if key not in _OWN},
    )


def _model(event: Mapping[str, Any], keep: Path) -> TracedModel:
    file = keep / event["digest"].partition(":")[2]
    return TracedModel(
        id=event["id"],
        digest=event["digest"],
        size=event["size"],
        facts=facts_from_json(event["facts"]),
        needs=model_needs(file.read_bytes()) if file.is_file() else {},
        name=event["called"],
        version=event["version"],
        encoding=event["encoding"],
        target=event["target"],
        int8=event["int8"],
        state=event["state"],
    )
