"""The matrix of guests and models on both hosts, native and Python: what a run tells is compared call for call.

The guests are those of :mod:`tests.support.differential`, which say every call with its errno, and the bytes that came
back, on standard output; the conversations of the recordings; and, where there are some beside the repository, third
parties' models.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lading import profiles
from lading_agent.nn.facts import read_model
from lading_agent.runs.spec import DirSpec, Limits, ModelSpec, RunSpec
from tests.support import differential
from tests.support.differential import Case, Model
from tests.support.forked import ForkServer
from tests.support.hosts import INTERPRETER_WORDS
from tests.support.sanitized import Sanitized
from tests.support.script_guest import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading_agent.runs.native import NativeRunner

THIRD_PARTY = Path(__file__).resolve().parents[3] / "shared" / "models"
"""Models by others, where a workplace has them beside the repository."""

_WASI_NN_LINE = re.compile(r"[a-z_]+: .*: [a-z_]+$", re.DOTALL)
_SECONDS = 60.0


@dataclass
class Figures:
    """What a matrix came to."""

    cases: int = 0
    calls: int = 0
    """wasi-nn calls that guests made, on one host."""
    inferences: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class _Job:
    label: str
    case: Case
    models: tuple[ModelSpec, ...]
    backend: bool = True


def run_native(
    host: NativeRunner | Sanitized,
    part: int = 0,
    parts: int = 1,
    *,
    only: str = "",
    personality: str = "lading-litert",
) -> Figures:
    """Every ``parts``-th case from ``part`` on, on both hosts; the native one keeps compiled guests.

    Args:
        host: the native runner, or another build of it.
        part: the first case.
        parts: how many parts there are.
        only: cases with this in their label.
        personality: the firmware profile that both speak.
    """
    began = time.monotonic()
    figures = Figures()
    document = profiles.find(personality).resolved()
    with tempfile.TemporaryDirectory(prefix="native-matrix-") as temporary, ForkServer() as server:
        folder = Path(temporary)
        root = _root(folder)
        command = _with_code(host, folder / "code")
        jobs = [job for job in _jobs(root) if only in job.label]
        for job in jobs[part::parts]:
            spec = _spec(job, folder, root, document)
            python = server.run(spec)
            ours = run(spec, command=command)
            theirs = _told(python.events, python.end, python.output)
            mine = _told(ours.events, ours.result.to_json(), ours.memory)
            figures.cases += 1
            metric = next((e for e in python.events if e["event"] == "metric"), {})
            figures.calls += metric.get("calls", 0)
            figures.inferences += metric.get("inferences", 0)
            kind = str(python.end["kind"])
            figures.ends[kind] = figures.ends.get(kind, 0) + 1
            apart = {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}
            if apart:
                figures.disagreements.append(f"{job.label}: {apart}")
    figures.seconds = time.monotonic() - began
    return figures


def _with_code(host: NativeRunner | Sanitized, folder: Path) -> NativeRunner | Sanitized:
    folder.mkdir()
    if isinstance(host, Sanitized):
        return replace(host, native=replace(host.native, code=folder))
    return replace(host, code=folder)


def _root(folder: Path) -> Path:
    """What guests find in their directory."""
    root = folder / "root"
    shutil.copytree(differential.MODELS, root / "models")
    for path in _third_party():
        shutil.copy(path, root / "models" / f"by-others-{path.name}")
    (root / "image").write_bytes(bytes(64))
    shutil.copy(differential.MODELS / "digits_f32.tflite", root)
    return root


def _third_party() -> list[Path]:
    return sorted(THIRD_PARTY.glob("*.tflite"))


def _models(root: Path) -> Iterator[Model]:
    yield from differential.models()
    for path in sorted((root / "models").glob("by-others-*.tflite")):
        data = path.read_bytes()
        facts = read_model(data)
        if not facts.error and facts.inputs:
            yield Model(path.stem, data, facts)


def _jobs(root: Path) -> Iterator[_Job]:
    for case in (*differential.single_cases(), *differential.elsewhere_cases()):
        yield _Job(case.name, case, ())
    yield _Job("stream", differential.stream_case(), differential.stream_models())
    for model in _models(root):
        for case in differential.cases(model):
            by_name = (ModelSpec("m", str(root / model.file)),) if case.named else ()
            yield _Job(f"{case.name} [{model.name}]", case, by_name)
    for case, named, backend in differential.recorded_cases():
        found = tuple(replace(m, path=str(root / m.path)) for m in named if (root / m.path).exists())
        yield _Job(f"recorded {case.name}", case, found, backend)


def _spec(job: _Job, folder: Path, root: Path, document: Mapping[str, Any]) -> RunSpec:
    module = folder / "guest.wasm"
    module.write_bytes(job.case.module)
    return RunSpec(
        module=str(module),
        personality=document,
        args=job.case.args,
        models=job.models,
        dirs=(DirSpec(str(root), "."),) if job.case.preopen else (),
        limits=Limits(time_s=_SECONDS),
        backend="litert" if job.backend else "none",
    )


def _told(events: list[dict[str, Any]], end: Mapping[str, Any], output: bytes) -> dict[str, Any]:
    """All that a run can be told by; an interpreter's own words and figures of time are left out."""
    metric = next((e for e in events if e["event"] == "metric"), {})
    logs = [e["text"] for e in events if e["event"] == "log" and e["level"] == "error"]
    return {
        "end": {key: end[key] for key in ("outcome", "status", "kind", "message", "remedy")},
        "output": output,
        "calls": metric.get("calls"),
        "inferences": metric.get("inferences"),
        "log": [INTERPRETER_WORDS.sub(r"\1…\2", text) for text in logs if _WASI_NN_LINE.match(text)],
        "tensors": [e for e in events if e["event"] in ("tensor", "golden")],
    }
