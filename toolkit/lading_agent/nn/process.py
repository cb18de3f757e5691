"""The runner process: one run, from a spec descriptor to an ``end`` event. See :mod:`lading_agent.runs`.

``python -m lading_agent.nn.process --spec FD --report FD [--phase FD] [--log FD]``. ``--log`` is where the
interpreter's own standard error goes, so that whoever finds this process dead can read its last words.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn, Optional, Sequence

from lading_agent.nn.ends import End, RunEnds
from lading_agent.nn.reporting import InterpreterLog, Phase, Report
from lading_agent.runs.orphan import die_with_parent
from lading_agent.runs.spec import MIB, MOST_THREADS, RunSpec

STACK_ALLOWANCE = 10 * MIB
"""Data that each thread of engine or interpreter may take for its stack and allocator, beside the run's own memory."""

FIXED_ALLOWANCE = 16 * MIB
"""Data that the engines need for themselves while they run."""


def main(argv: Optional[Sequence[str]] = None) -> NoReturn:
    """Run what the spec says and leave with the run's status."""
    parser = argparse.ArgumentParser(prog="lading-runner", description="Run one guest; started by the agent.")
    parser.add_argument("--spec", type=int, required=True, metavar="FD")
    parser.add_argument("--report", type=int, required=True, metavar="FD")
    parser.add_argument("--phase", type=int, metavar="FD")
    parser.add_argument("--log", type=int, metavar="FD")
    options = parser.parse_args(argv)
    die_with_parent()
    report = Report(options.report)
    log = InterpreterLog(report, options.log)
    phase = Phase(options.phase)
    try:
        with os.fdopen(options.spec, "rb") as file:
            spec = RunSpec.from_json(json.loads(file.read()))
        end = run(spec, report, phase, log)
    except RunEnds as ended:
        end = ended.end
    except MemoryError:
        end = End("failed", 125, "out-of-memory", "the host ran out of memory", "raise the memory limit (--max-memory)")
    except Exception as error:  # noqa: BLE001  (whatever it is, it ends as a named error, never as a traceback)
        end = End("failed", 125, "host-failed", f"the host failed: {type(error).__name__}: {error}", "report this")
    phase.set("end")
    log.drain()
    report.event("end", **asdict(end))
    os._exit(end.status)  # engines and interpreters are not taken down one by one: the process ends here


def run(spec: RunSpec, report: Report, phase: Phase, log: InterpreterLog) -> End:
    """Golden vectors first, then the guest, as far as the spec asks for them."""
    from lading_agent.nn.engine import Engine, EngineMissing
    from lading_agent.nn.models import Models
    from lading_agent.nn.personality import Personality
    from lading_agent.nn.places import Places

    if not 0 <= spec.threads <= MOST_THREADS:
        return End(
            "failed",
            125,
            "too-many-threads",
            f"the run asks for {spec.threads} interpreter threads: 1 to {MOST_THREADS} can be had, 0 is all cores",
            "ask for fewer (--threads, or threads in lading.toml)",
        )
    try:
        personality = Personality.from_json(spec.personality, backend=spec.backend)
    except ValueError as error:
        return End("not-loadable", 126, "not-loadable", str(error), "choose a firmware profile that runs core modules")
    engine = None
    if spec.backend != "none":
        try:
            engine = Engine(spec.backend, spec.threads)
        except EngineMissing as error:
            return End("failed", 125, "no-backend", str(error), "install it, or run with another backend")
    limits = spec.limits
    try:
        places = Places(spec.names_dir, spec.dirs)
        models = Models(engine, spec.models, limits.model_bytes, limits.memory_bytes, places)
    except OSError as error:
        return End("failed", 125, "no-model", f"a model cannot be read: {error}", "is the release complete?")
    runtime = f"lading Python host, {_engine_version(spec)}" + (f", {engine.version}" if engine is not None else "")
    limit_memory(limits.memory_bytes, spec.threads)
    if spec.golden:
        end = _golden(spec, models, report, phase)
        if end is not None:
            return end
    if not spec.module:
        return End("exit", 0, "exit")
    return _guest(spec, personality, models, report, phase, log, runtime)


def _golden(spec: RunSpec, models: object, report: Report, phase: Phase) -> Optional[End]:
    from lading_agent.nn import golden
    from lading_agent.nn.models import Models

    assert isinstance(models, Models)
    phase.set("golden")
    failed = ""
    for index, vector in enumerate(spec.golden):
        size = models.named_size(vector.model.encode())
        if size is not None and size > spec.limits.model_bytes:
            return End(
                "failed",
                125,
                "model-too-large",
                f"model '{vector.model}' has {size} bytes, the limit is {spec.limits.model_bytes}",
                "use a smaller model, or a target that takes it",
            )
        try:
            result = golden.compare(models, vector)
        except (golden.BadVector, golden.Refused, OSError) as error:
            return End(
                "failed", 1, "golden-failed", f"golden vector {index}: {error}", "record the golden vectors again"
            )
        report.event("golden", index=index, **result)
        failed = failed or golden.describe(result, index) or ""
    if failed:
        return End("failed", 1, "golden-mismatch", failed, "is the model the one that the vectors were recorded with?")
    return None


def _guest(
    spec: RunSpec,
    personality: object,
    models: object,
    report: Report,
    phase: Phase,
    log: InterpreterLog,
    runtime: str,
) -> End:
    from lading_agent.nn.guest import Guest
    from lading_agent.nn.host import Host
    from lading_agent.nn.models import Models
    from lading_agent.nn.personality import Personality
    from lading_agent.nn.state import HostState

    assert isinstance(personality, Personality)
    assert isinstance(models, Models)
    limits = spec.limits
    state = HostState(
        graph_limit=_least(limits.graphs, personality.limits.get("graphs")),
        context_limit=_least(limits.contexts, personality.limits.get("contexts")),
        model_bytes_limit=_least(limits.model_bytes, personality.limits.get("model_bytes")),
    )
    host = Host(personality, models, state, report, phase, log)
    if spec.trace:
        from lading_agent.nn.observed import run_observed

        phase.set("guest")
        end, figures = run_observed(spec, personality, models, state, report, phase, log)
        phase.set("end")
        report.event("metric", **figures.to_json(runtime))
        return end
    gc.freeze()  # what is there now stays: a later collection need not look at it in the middle of an inference
    phase.set("guest")
    end = Guest(spec, personality, host, log.guest_fd).run()
    phase.set("end")
    report.event("metric", **host.figures.to_json(runtime))
    return end


def _least(run: int, firmware: Optional[int]) -> int:
    return run if firmware is None else min(run, firmware)


def _engine_version(spec: RunSpec) -> str:
    if not spec.module:
        return "no guest"
    return f"wasmtime {importlib.metadata.version('wasmtime')}"


def limit_memory(memory_bytes: Optional[int], threads: int) -> None:
    """Limit private data to what is there now plus ``memory_bytes``.

    Data, not address space: a wasm engine reserves gigabytes of addresses that cost nothing.
    """
    if memory_bytes is None or not hasattr(resource, "RLIMIT_DATA"):
        return
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        data = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:"))
    except (OSError, StopIteration, ValueError):
        return
    count = max(1, threads if threads > 0 else (os.cpu_count() or 1))
    wanted = data + memory_bytes + FIXED_ALLOWANCE + STACK_ALLOWANCE * count
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, wanted))


if __name__ == "__main__":
    main(sys.argv[1:])
