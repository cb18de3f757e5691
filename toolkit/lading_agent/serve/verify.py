"""Trying a release on the device itself before it becomes current: golden vectors, then smoke runs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, List

from lading_agent.errors import AgentError
from lading_agent.runs import supervise
from lading_agent.runs.matching import NoVerdict, matches
from lading_agent.serve.judged import chosen
from lading_agent.serve.runtimes import OWN
from lading_agent.serve.specs import golden_spec, run_spec
from lading_agent.store.durable import make_dirs

if TYPE_CHECKING:
    from lading_agent.bill import Bill, Smoke
    from lading_agent.runs.result import RunResult
    from lading_agent.serve.device import Served
    from lading_agent.serve.exchange import Exchange
    from lading_agent.store.releases import Release

_CODES = {
    "model-too-large": "too-large",
    "out-of-memory": "too-large",
    "memory-limit": "too-large",
    "engine-damaged": "engine-damaged",
}
"""Ends of a run that have a refusal of their own."""
OUTPUT_KEPT = 1024 * 1024
"""How much of a smoke run's output is looked at."""
TAIL_SHOWN = 2000
LINE_SHOWN = 200


@dataclass
class _Output:
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)

    def take(self, into: bytearray, data: bytes) -> None:
        into += data[: OUTPUT_KEPT - len(into)]


def golden(served: Served, exchange: Exchange, bill: Bill, release: Release) -> List[Dict[str, Any]]:
    """Compare the golden vectors on the runner's own engine; on another runtime smoke runs take their place.

    Returns:
        What the runner said of each.

    Raises:
        AgentError: ``golden-mismatch``, with tensor, index, expected, got and tolerance in its details.
    """
    spec = golden_spec(served, bill, release.variant)
    if not spec.golden:
        return []
    runtime = release.runtime or bill.app.runtime
    if runtime != OWN:
        instead = "its smoke runs stand in their place" if bill.smoke else "it has no smoke runs either: not tried"
        text = f"the golden vectors of {bill.app.name} are not compared on {runtime}; {instead}"
        exchange.event("log", level="info" if bill.smoke else "warning", text=text)
        return []
    reports: List[Dict[str, Any]] = []

    def take(event: Dict[str, Any]) -> None:
        kind = event.pop("event", "")
        if kind == "golden":
            reports.append(event)
            exchange.event("golden", **event)
        elif kind == "log":
            exchange.event("log", level=event.get("level"), text=event.get("text"))

    output = _Output()
    result = supervise.run(
        spec,
        on_stdout=lambda data: output.take(output.stdout, data),
        on_stderr=lambda data: output.take(output.stderr, data),
        on_report=take,
        should_stop=lambda: exchange.cancelled,
        command=served.runner,
    )
    exchange.check()
    wrong = next((r for r in reports if r.get("ok") is not True), None)
    if wrong is not None:
        raise AgentError("golden-mismatch", _mismatch_text(bill, wrong), _GOLDEN_REMEDY, wrong)
    if result.status != 0 or len(reports) != len(spec.golden):
        raise AgentError(
            _CODES.get(result.kind, "golden-mismatch"),
            f"the golden vectors of {bill.app.name} could not be compared on the device: {result.message}",
            result.remedy or _GOLDEN_REMEDY,
            {"kind": result.kind, "output": _tail(output.stderr)},
        )
    return reports


_GOLDEN_REMEDY = "compare with the host (lading golden record), or widen the tolerance if the difference is harmless"


def _mismatch_text(bill: Bill, report: Dict[str, Any]) -> str:
    mismatch = report.get("mismatch")
    vector = report.get("index")
    what = f"golden vector {vector + 1 if isinstance(vector, int) else vector} of model {report.get('model')}"
    if not isinstance(mismatch, dict):
        return f"{what} of {bill.app.name} came out wrong on the device"
    tolerance, unit = mismatch.get("tolerance"), str(mismatch.get("unit") or "")
    if isinstance(tolerance, (int, float)):
        unit = unit.rstrip("s") if tolerance == 1 else unit
        tolerance = f"{tolerance:g}"
    return (
        f"{what} came out wrong on the device: tensor {mismatch.get('tensor')}{mismatch.get('index')} "
        f"is {mismatch.get('got')}, expected {mismatch.get('expected')} "
        f"with a tolerance of {tolerance} {unit}".rstrip()
    )


def smoke(served: Served, exchange: Exchange, bill: Bill, release: Release) -> List[Dict[str, Any]]:
    """Run the guest as the bill's smoke runs say, with empty state directories of their own.

    Raises:
        AgentError: ``smoke-failed``, with what was expected, what came and the end of the output in its details.
    """
    reports: List[Dict[str, Any]] = []
    for index, wanted in enumerate(bill.smoke):
        output = _Output()
        result = _smoke_run(served, exchange, bill, release, wanted, output)
        exchange.check()
        wrong = _compare(wanted, result, output)
        report = {"index": index, "args": list(wanted.args), "exit": result.status, "ok": not wrong}
        if wrong:
            raise AgentError(
                "engine-damaged" if result.kind == "engine-damaged" else "smoke-failed",
                f"smoke run {index + 1} of {bill.app.name} ({' '.join(wanted.args) or 'no arguments'}): {wrong}",
                result.remedy or "run the app on the host first (lading emulate)",
                {
                    **report,
                    "expected_exit": wanted.exit,
                    "expected_stdout": wanted.stdout,
                    "kind": result.kind,
                    "message": result.message,
                    "stdout": _tail(output.stdout),
                    "stderr": _tail(output.stderr),
                },
            )
        reports.append(report)
        exchange.event("smoke", **report)
    return reports


def _smoke_run(
    served: Served, exchange: Exchange, bill: Bill, release: Release, wanted: Smoke, output: _Output
) -> RunResult:
    layout = served.layout
    scratch = layout.scratch()
    state = {directory.guest: scratch / str(n) for n, directory in enumerate(bill.state)}
    for path in state.values():
        make_dirs(path)
    try:
        home = layout.release(bill.app.name, release.id)
        program = chosen(served, release, bill.app.runtime, None, allow_unknown=True)
        return supervise.run(
            run_spec(served, bill, release.variant, home, state=state, args=wanted.args, program=program),
            on_stdout=lambda data: output.take(output.stdout, data),
            on_stderr=lambda data: output.take(output.stderr, data),
            on_report=lambda _: None,
            should_stop=lambda: exchange.cancelled,
            command=served.runner,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _compare(wanted: Smoke, result: RunResult, output: _Output) -> str:
    """What is wrong with a smoke run; nothing when it is right."""
    if result.status != wanted.exit:
        why = f" ({result.kind}: {result.message})" if result.kind != "exit" else ""
        return f"ended with status {result.status}{why}, expected {wanted.exit}"
    if wanted.stdout is None:
        return ""
    try:
        found = matches(wanted.stdout, output.stdout.decode("utf-8", "replace"))
    except NoVerdict as error:
        return f"its output could not be compared with {wanted.stdout!r}: {error}"
    if not found:
        shown = output.stdout[:LINE_SHOWN].decode("utf-8", "replace").strip()
        return f"its output does not match {wanted.stdout!r}: " + (
            f"it wrote {shown!r}" if shown else "it wrote nothing"
        )
    return ""


def _tail(data: bytearray) -> str:
    return bytes(data[-TAIL_SHOWN:]).decode("utf-8", "replace")
