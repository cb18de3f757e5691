"""Check's word against the emulated host's deed: guests × models × firmware profiles.

The run's deed is read from its own list of calls: the first one that is not answered by success, or, when all are, how
the run ended. The check's verdict has to name the same call, the same outcome and the same errno.

    python -m tests.support.differential [--part N/M]    # prints figures, and what differs
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import wasmtime

from lading import profiles
from lading.check import Place, Verdict, judge
from lading.check.verdict import At
from lading.trace.document import End, Trace
from lading.trace.needs import module_needs
from lading.trace.record import (
    recording_spec,
    several_handles,
    tell_fixed_handles,
    trace_of,
    with_other_handles,
)
from lading.trace.subject import Subject
from lading.units import Size
from lading_agent.nn.facts import ModelFacts, read_model
from lading_agent.runs.spec import DirSpec, ModelSpec, RunSpec
from tests.support import branching, recordings
from tests.support.forked import ForkServer, Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from lading.profiles import FirmwareProfile

DATA = Path(__file__).parents[1] / "data"
MODELS = DATA / "models"
GUESTS = DATA / "recordings" / "guests"
ELSEWHERE = Path(__file__).parents[1] / "guests"
STREAM = Path(__file__).parents[2] / "examples" / "stream"

NUMBERINGS: Mapping[str, Mapping[str, int]] = {
    "spec-old": {"f16": 0, "f32": 1, "u8": 2, "i32": 3},
    "spec-new": {"f16": 0, "f32": 1, "f64": 2, "u8": 3, "i32": 4, "i64": 5},
    "wamr-2.1": {"f16": 0, "f32": 1, "f64": 2, "bf16": 3, "u8": 4, "i32": 5, "i64": 6},
}
_GUEST_TYPE = {"float32": "f32", "float16": "f16", "float64": "f64", "int32": "i32", "int64": "i64"}


class Model(NamedTuple):
    """A model of the matrix."""

    name: str
    data: bytes
    facts: ModelFacts

    @property
    def file(self) -> str:
        """Where guests find it."""
        return f"models/{self.name}.tflite"


def models() -> list[Model]:
    """Every model of the tests that has an input; f32 first."""
    made = []
    for path in sorted(MODELS.glob("*.tflite")):
        data = path.read_bytes()
        facts = read_model(data)
        if not facts.error and facts.inputs:
            made.append(Model(path.stem, data, facts))
    return made


class Case(NamedTuple):
    """A guest, and how it is started."""

    name: str
    module: bytes
    args: tuple[str, ...] = ()
    named: bool = False
    """The model is given by name, as ``m``."""
    preopen: bool = True


def _shape(facts: ModelFacts, index: int = 0) -> str:
    return "x".join(map(str, facts.inputs[index].shape))


def _room(facts: ModelFacts, index: int = 0) -> int:
    return max(4, 4 * facts.outputs[index].count)


def _sets(facts: ModelFacts, types: Mapping[str, int]) -> list[str]:
    """``set_input`` for every input with its own type in that numbering (int8 as u8), its own length."""
    made = []
    for index, tensor in enumerate(facts.inputs):
        name = _GUEST_TYPE.get(tensor.dtype, "u8")
        code = types.get(name, types["u8"])
        made.append(f"S:c=0,i={index},t={code},d={_shape(facts, index)},n={tensor.nbytes},fill=ramp")
    return made


def _float_sets(facts: ModelFacts) -> list[str]:
    return [f"S:c=0,i={i},t=1,d={_shape(facts, i)},n={4 * t.count},fill=rampf1" for i, t in enumerate(facts.inputs)]


def _guest(name: str) -> bytes:
    return (GUESTS / f"{name}.wasm").read_bytes()


def cases(model: Model) -> Iterator[Case]:
    """All guests of the matrix for one model."""
    facts = model.facts
    load, out = f"L:f={model.file}", f"G:c=0,i=0,max={_room(facts)}"
    begin = (load, "I:g=0")
    own = _sets(facts, NUMBERINGS["spec-new"])
    nnx, nnx_we = _guest("nnx"), _guest("nnx_we")
    for era, types in NUMBERINGS.items():
        yield Case(f"era-{era}", nnx, (*begin, *_sets(facts, types), "C:c=0", out))
    yield Case("floats", nnx, (*begin, *_float_sets(facts), "C:c=0", out))
    yield Case("bytes-room", nnx, (*begin, *own, "C:c=0", f"G:c=0,i=0,max={facts.outputs[0].nbytes}"))
    yield Case("unload", nnx_we, (*begin, *own, "C:c=0", out, "F:c=0", "U:g=0"))
    yield Case("single", nnx_we, (*begin, *own, "1:c=0", out))
    yield Case("named", nnx, ("N:name=m", "I:g=0", *own, "C:c=0", out), named=True)
    yield Case("named-nul-counted", nnx, ("N:name=m,inc=1", "I:g=0", *own, "C:c=0", out), named=True)
    yield Case("named-path", nnx, (f"N:name={model.file}", "I:g=0", *_float_sets(facts), "C:c=0", out))
    yield Case("named-path-outside", nnx, (f"N:name={model.file}", "I:g=0"), preopen=False)
    yield Case("second-input", nnx, (*begin, *own, f"S:c=0,i=1,t=1,d={_shape(facts)},n=4", "C:c=0", out))
    yield Case("first-input-only", nnx, (*begin, own[0], "C:c=0", out))
    yield Case("second-output", nnx, (*begin, *own, "C:c=0", "G:c=0,i=1,max=4096"))
    tensor = facts.inputs[0]
    code = NUMBERINGS["spec-new"].get(_GUEST_TYPE.get(tensor.dtype, "u8"), 3)
    yield Case("short", nnx, (*begin, f"S:c=0,i=0,t={code},d={_shape(facts)},n={tensor.nbytes // 2}", "C:c=0", out))
    yield Case("long", nnx, (*begin, f"S:c=0,i=0,t={code},d={_shape(facts)},n={tensor.nbytes + 8}", "C:c=0", out))
    flat = f"S:c=0,i=0,t={code},d={tensor.count},n={tensor.nbytes}"
    yield Case("flat", nnx, (*begin, flat, "C:c=0", out))
    more = f"S:c=0,i=0,t={code},d={_shape(facts)}x2,n={2 * tensor.nbytes}"
    yield Case("other-count", nnx, (*begin, more, "C:c=0", out))
    yield Case("small-room", nnx, (*begin, *own, "C:c=0", "G:c=0,i=0,max=1", out))
    quarter = max(1, facts.outputs[0].nbytes // 4)
    yield Case("quarter-room", nnx, (*begin, *own, "C:c=0", f"G:c=0,i=0,max={quarter}", out))
    yield Case("no-input", nnx, (*begin, "C:c=0", out))
    yield Case("no-compute", nnx, (*begin, *own, out))
    yield Case("compute-twice", nnx, (*begin, *own, "C:c=0", out, *own, "C:c=0", out))
    yield Case("two-contexts", nnx, (load, "I:g=0", "I:g=0", *own, "C:c=0", "C:c=1", out))
    yield Case("two-graphs", nnx, (load, load, "I:g=1", *own, "C:c=0", out))
    yield Case("before-load", nnx, ("I:g=0", load))
    yield Case("garbage", nnx, ("L:f=@garbage:4096", load, "I:g=0"))
    yield Case("magic-and-junk", nnx, ("L:f=@magic:4096", "I:g=0"))
    yield Case("half-a-model", nnx, (f"L:f=@trunc:{len(model.data) // 2}:{model.file}", "I:g=0", *own, "C:c=0"))
    yield Case("two-builders", nnx, (f"{load},nb=2", "I:g=0"))
    yield Case("autodetect", nnx, (f"{load},enc=5", "I:g=0", *own, "C:c=0", out))
    yield Case("encoding-260", nnx, (f"{load},enc=260", "I:g=0"))
    yield Case("gpu", nnx, (f"{load},tgt=1", "I:g=0", *own, "C:c=0", out))
    yield Case("index-minus-one", nnx, (*begin, f"S:c=0,i=4294967295,t=1,d={_shape(facts)},n=4"))
    yield Case("tensor-outside", nnx, (*begin, "S:c=0,i=0,tptr=end-8,t=1,d=1,n=4"))
    yield Case("data-outside", nnx, (*begin, f"S:c=0,i=0,t={code},d={_shape(facts)},n={tensor.nbytes},vptr=end-1"))
    yield Case("output-outside", nnx, (*begin, *own, "C:c=0", f"{out},out=end-2"))
    yield Case("size-outside", nnx, (*begin, *own, "C:c=0", f"{out},bw=end-2"))
    yield Case("handle-outside", nnx, (f"{load},gout=end-2",))
    yield Case("many-loads", nnx, (load,) * 12)
    legacy = _float_sets(facts)
    for flavour in ("", "_lbn", "_1_3", "_lbn_1_3"):
        guest = _guest(f"nnx_legacy{flavour}")
        yield Case(f"legacy{flavour}", guest, (*begin, *legacy, "C:c=0", f"G:c=0,i=0,max={facts.outputs[0].count}"))
    yield Case("legacy-room-in-bytes", _guest("nnx_legacy_1_3"), (*begin, *legacy, "C:c=0", out))
    yield Case("legacy-small", _guest("nnx_legacy_1_3"), (*begin, *legacy, "C:c=0", "G:c=0,i=0,max=1"))
    yield Case("legacy-own-type", _guest("nnx_legacy_1_3"), (*begin, *_sets(facts, NUMBERINGS["spec-old"]), "C:c=0"))
    for behaviour in (
        branching.retries_types,
        branching.retries_from_floats,
        branching.grows_its_buffer,
        branching.grows_on_too_large,
        branching.falls_back_to_tflite,
        branching.lets_go_and_begins_again,
        branching.hoards,
    ):
        make: Callable[[bytes, ModelFacts], bytes] = behaviour
        yield Case(make.__name__, make(model.data, facts))


def single_cases() -> Iterator[Case]:
    """Guests that bring no model into play."""
    for path in sorted(GUESTS.glob("imp_*.wasm")):
        yield Case(path.stem, path.read_bytes())
        yield Case(f"{path.stem}-called", path.read_bytes(), ("call",))
    for name in ("exit3", "trap"):
        yield Case(name, _guest(name))
    yield Case("no-calls", _guest("nnx"))


def elsewhere_cases() -> Iterator[Case]:
    """Guests in the style of others."""
    for crate in ("crate_0_5", "crate_0_6"):
        yield Case(
            crate,
            (ELSEWHERE / f"{crate}.wasm").read_bytes(),
            ("models/digits_uint8.tflite", "image", "1", "8", "8", "1"),
        )
    style = (ELSEWHERE / "wamr_style.wasm").read_bytes()
    for model in ("digits_f32", "digits_uint8", "digits_int8"):
        yield Case(f"wamr_style-{model}", style, (f"models/{model}.tflite", "1", "8", "8", "1"))


def recorded_cases() -> Iterator[tuple[Case, tuple[ModelSpec, ...], bool]]:
    """Every conversation of the recordings of real runtimes, once; with models by name, and whether there is a backend.

    Model paths are relative to the matrix's folder.
    """
    seen = set()
    for recording in recordings.PROFILES:
        for recorded in recordings.cases(recording):
            how = recordings.start(recorded)
            path = GUESTS / f"{how.guest}.wasm"
            key = (how.guest, how.args, how.preopen, how.backend, json.dumps(how.models))
            if key in seen or not path.exists():
                continue
            seen.add(key)
            named = tuple(ModelSpec(m["name"], m["path"], target=m.get("target", "cpu")) for m in how.models)
            yield (
                Case(recorded.name.replace("/", "-"), path.read_bytes(), how.args, preopen=how.preopen),
                named,
                how.backend,
            )


@dataclass
class Figures:
    """What a matrix came to."""

    pairs: int = 0
    traced: int = 0
    """Guests with their models."""
    profiles: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    disagreements: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def text(self, most: int = 60) -> str:
        """All of it, in lines."""
        head = f"{self.pairs} pairs, {len(self.disagreements)} disagreements, verdicts {self.verdicts}"
        return "\n".join([head, *self.disagreements[:most]])


class Matrix:
    """Runs guests, once on the recorder and once on each firmware, and compares."""

    def __init__(self, server: ForkServer, folder: Path, *, memory_bytes: int | None = None) -> None:
        """Make a matrix; with ``memory_bytes`` each firmware gives a run no more memory than that."""
        self._server = server
        self.folder = folder
        self._keep = folder / "kept"
        self._keep.mkdir()
        root = folder / "root"
        shutil.copytree(MODELS, root / "models")
        (root / "image").write_bytes(bytes(64))
        self.root = root
        self.profiles = {i: p for i, p in profiles.load_all().items() if p.runs_guests}
        if memory_bytes is not None:
            self.profiles = {i: _with_memory(p, memory_bytes) for i, p in self.profiles.items()}
        self.figures = Figures()

    def subject(self, case: Case, model: Model | None, *, models: Sequence[ModelSpec] = ()) -> Subject:
        """The case as a check sees it."""
        module = self.folder / f"{case.name}.wasm"
        module.write_bytes(case.module)
        named = list(models)
        if case.named and model is not None:
            named.append(ModelSpec("m", str(self.root / model.file)))
        dirs = (DirSpec(str(self.root), "."),) if case.preopen else ()
        return Subject(case.name, module, case.args, models=tuple(named), dirs=dirs)

    def trace(self, subject: Subject) -> Trace:
        """The one trace."""
        spec = recording_spec(subject, keep=str(self._keep))
        ran = self._server.run(spec)
        if several_handles(ran.events):
            tell_fixed_handles(ran.events, self._server.run(with_other_handles(spec)).events)
        end = End(*(ran.end[k] for k in ("outcome", "status", "kind", "message")))
        return trace_of(subject, module_needs(subject.module), ran.events, end, self._keep)

    def deed(self, subject: Subject, profile: FirmwareProfile) -> Ran:
        """The run on a firmware, as ``lading emulate`` starts it; its calls are told."""
        from lading_agent.runs.spec import Limits

        document = profile.resolved()
        backend = str(document.get("backend", "litert"))
        if backend == "tflite-runtime" and importlib.util.find_spec("tflite_runtime") is None:
            backend = "litert"
        limits = {k: v for k, v in document.get("limits", {}).items() if k in Limits.__dataclass_fields__}
        return self._server.run(
            RunSpec(
                module=str(subject.module),
                personality=document,
                args=subject.args,
                models=subject.models,
                dirs=subject.dirs,
                limits=Limits(**limits),
                backend=backend,
                trace={"mode": "calls"},
            )
        )

    def compare(self, case: Case, model: Model | None, *, models: Sequence[ModelSpec] = ()) -> None:
        """One guest on all firmwares."""
        self.figures.traced += 1
        self.figures.profiles = len(self.profiles)
        subject = self.subject(case, model, models=models)
        trace = self.trace(subject)
        label = case.name + (f" [{model.name}]" if model else "")
        for profile in self.profiles.values():
            verdict = judge(trace, Place(profile))
            said, done = word(verdict), deed_of(self.deed(subject, profile))
            self.figures.pairs += 1
            self.figures.verdicts[verdict.verdict] = self.figures.verdicts.get(verdict.verdict, 0) + 1
            if said != done:
                self.figures.disagreements.append(
                    f"{label} on {profile.id}: check {said}, run {done}: {verdict.reason}"
                )


def _with_memory(profile: FirmwareProfile, size: int) -> FirmwareProfile:
    limits = msgspec.structs.replace(profile.limits, memory_bytes=Size(size))
    return msgspec.structs.replace(profile, limits=limits)


def word(verdict: Verdict) -> dict[str, Any]:
    """A verdict as it is compared."""
    at = verdict.at
    return {
        "verdict": verdict.verdict,
        "step": at.step if isinstance(at, At) else None,
        "at": at.call if isinstance(at, At) else at,
        "outcome": verdict.outcome,
        "errno": verdict.errno and (verdict.errno.name, verdict.errno.number),
    }


def deed_of(ran: Ran) -> dict[str, Any]:
    """What a run came to, in the same words."""
    calls = [e for e in ran.events if e["event"] == "call"]
    for step, call in enumerate(calls, 1):
        if call["outcome"] == "success":
            continue
        function = call["function"] or re.search(r"::(\S+)", call["reason"])[1]  # type: ignore[index]
        outcome = {"trap": "trap", "abort": "host-crash", "segv": "host-crash"}.get(call["outcome"], "errno")
        errno = (call["outcome"], call["errno"]) if outcome == "errno" else None
        return {"verdict": "fails", "step": step, "at": function, "outcome": outcome, "errno": errno}
    end = ran.end
    nothing: dict[str, Any] = {"step": None, "at": None, "outcome": None, "errno": None}
    if end["kind"] == "memory-limit" and end["message"].startswith("the module begins with"):
        return {**nothing, "verdict": "fails", "at": "instantiate", "outcome": "not-loadable"}
    if end["outcome"] in ("link-error", "not-loadable"):
        return {**nothing, "verdict": "fails", "at": "instantiate", "outcome": end["outcome"]}
    got_output = any(c["function"].startswith("get_output") for c in calls)
    if end["outcome"] == "exit" and (end["status"] == 0 or got_output):
        return {**nothing, "verdict": "ok"}
    return {**nothing, "verdict": "unknown"}


def run_matrix(part: int = 0, parts: int = 1, *, only: str = "") -> Figures:
    """The whole matrix, or every ``parts``-th pair of guest and model from ``part`` on."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder, ForkServer() as server:
        matrix = Matrix(server, Path(folder))
        jobs: list[tuple[Case, Model | None, tuple[ModelSpec, ...]]] = [(c, None, ()) for c in single_cases()]
        jobs += [(c, None, ()) for c in elsewhere_cases()]
        jobs += [(stream_case(), None, stream_models())]
        jobs += [(c, m, ()) for m in models() for c in cases(m)]
        chosen = [
            j for n, j in enumerate(jobs) if n % parts == part and only in f"{j[0].name} {j[1].name if j[1] else ''}"
        ]
        for case, model, named in chosen:
            matrix.compare(case, model, models=named)
        figures = matrix.figures
    figures.seconds = time.monotonic() - began
    return figures


def memory_cases(limit: int) -> Iterator[Case]:
    """Guests of both modules around a limit of memory; those that grow do so before or after their only call."""
    pages = limit // 65536
    for module, more in (("wasi_ephemeral_nn", "(i32.const 1) "), ("wasi_nn", "")):
        parameters = "i32 i32 i32 i32 i32" if more else "i32 i32 i32 i32"
        call = f"(drop (call $load (i32.const 8) {more}(i32.const 4) (i32.const 0) (i32.const 64)))"
        for name, first, steps in (
            ("exactly", pages, (call,)),
            ("one-page-more", pages + 1, (call,)),
            ("grows-within", 2, (_grown(pages - 2), call)),
            ("grows-beyond-then-calls", 2, (_grown(pages), call)),
            ("calls-then-grows-beyond", 2, (call, _grown(pages))),
        ):
            text = f"""(module
              (import "{module}" "load" (func $load (param {parameters}) (result i32)))
              (memory (export "memory") {first})
              (func (export "_start") {" ".join(steps)}))"""
            yield Case(f"memory-{name}-{module}", bytes(wasmtime.wat2wasm(text)), ())


def _grown(pages: int) -> str:
    return f"(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))"


def run_memory() -> Figures:
    """Guests that begin with, or grow to, more memory than a run may use, and some that do not."""
    began = time.monotonic()
    limit = 4 * 1024 * 1024
    with tempfile.TemporaryDirectory(prefix="differential-") as folder, ForkServer() as server:
        matrix = Matrix(server, Path(folder), memory_bytes=limit)
        for case in memory_cases(limit):
            matrix.compare(case, None)
        figures = matrix.figures
    figures.seconds = time.monotonic() - began
    return figures


def run_recorded(part: int = 0, parts: int = 1, *, only: str = "") -> Figures:
    """Conversations of the recordings, on every firmware."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="differential-") as folder, ForkServer() as server:
        matrix = Matrix(server, Path(folder))
        shutil.copy(MODELS / "digits_f32.tflite", matrix.root)
        for n, (case, named, backend) in enumerate(recorded_cases()):
            if n % parts != part or only not in case.name or not backend:
                continue
            models = [replace(m, path=str(matrix.root / m.path)) for m in named if (matrix.root / m.path).exists()]
            matrix.compare(case, None, models=models)
        figures = matrix.figures
    figures.seconds = time.monotonic() - began
    return figures


def stream_case() -> Case:
    """The streaming example."""
    return Case("stream", (STREAM / "stream.wasm").read_bytes())


def stream_models() -> tuple[ModelSpec, ...]:
    """Its model with its state."""
    from lading.project import load_project

    project = load_project(STREAM)
    return tuple(
        ModelSpec(m.name, str(project.place(m.path)), m.version, m.encoding, m.target, m.int8, dict(m.state))
        for m in project.models
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="0/1", help="every M-th pair from N on")
    parser.add_argument("--only", default="", help="guests and models that have this in their name")
    parser.add_argument("--recorded", action="store_true", help="the conversations of the recordings instead")
    parser.add_argument("--most", type=int, default=60, help="how many disagreements are printed")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    figures = (run_recorded if options.recorded else run_matrix)(part, parts, only=options.only)
    sys.stdout.write(figures.text(options.most) + "\n")
    sys.stdout.write(
        json.dumps(
            {"pairs": figures.pairs, "disagreements": len(figures.disagreements), "seconds": round(figures.seconds, 1)}
        )
        + "\n"
    )
    return int(bool(figures.disagreements))


if __name__ == "__main__":
    sys.exit(main())
