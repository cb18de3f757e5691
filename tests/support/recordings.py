"""The recordings of real runtimes: their cases, how each was started, and how a replay is compared with it."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lading.tflite.read import read_model as read_tflite
from lading_agent.nn.facts import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lading.tflite.model import Model
    from lading_agent.nn.facts import ModelFacts

DATA = Path(__file__).parents[1] / "data"
FOLDER = DATA / "recordings"
GUESTS = FOLDER / "guests"
MODELS = DATA / "models"

UNWRITTEN = 0xEEEEEEEE
"""What the guest leaves where the host writes a handle or a size."""

PROFILES: Mapping[str, str] = {
    "wamr-1.3.3-legacy": "wamr-1.3-legacy",
    "wamr-2.3.1-legacy": "wamr-2.3-legacy",
    "wamr-2.4.5-legacy": "wamr-2.4-legacy",
    "wamr-main-legacy": "wamr-main-legacy",
    "wamr-2.3.1": "wamr-2.3",
    "wamr-2.4.5": "wamr-2.4",
    "wamr-main": "wamr-main",
    "wasmedge-0.14.1": "wasmedge-0.14",
    "wasmedge-0.17.1": "wasmedge-0.17",
    "wasmedge-main": "wasmedge-main",
}
"""Each recording with the firmware profile that has to replay it."""


class NotCompared(NamedTuple):
    """Something that is not compared, and the sentence of the recordings' own description that says so."""

    name: str
    sentence: str


NOT_COMPARED: Mapping[str, NotCompared] = {
    e.name: e
    for e in (
        NotCompared("arena", "outputs of `compute` before any `set_input` (arena contents)"),
        NotCompared("log", "host log line numbers"),
        NotCompared(
            "undefined-handles",
            'handles after undefined behaviour (`"TFL3"` magic followed by junk on WAMR; more than 16 graphs or '
            "contexts on WasmEdge ≤ 0.17.1)",
        ),
        NotCompared("last-digit", "floats in the last digit"),
        NotCompared("unstable", '`"unstable": true`: differed between two runs, do not compare'),
        NotCompared("past-a-table", "nor encodings ≥ 5 on 1.3.3 (it reads past a table)"),
    )
}
"""All that a comparison leaves out."""

MOST_HANDLES = {"wasmedge-0.14.1": 16, "wasmedge-0.17.1": 16}
"""Graphs or contexts from which on handles are undefined."""

JUNK = ("@magic", "@trunc:12000", "@trunc:23731")


@dataclass(frozen=True)
class Case:
    """One recorded process."""

    recording: str
    name: str
    model: str | None
    steps: Sequence[Mapping[str, Any]]
    exit: int | None
    signal: int | None
    flags: Mapping[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> list[str]:
        """The guest's arguments."""
        return [s["call"] for s in self.steps if "call" in s]


@cache
def cases(recording: str) -> tuple[Case, ...]:
    """All cases of a recording."""
    document = json.loads((FOLDER / f"{recording}.json").read_text(encoding="utf-8"))
    return tuple(
        Case(
            recording,
            c["case"],
            c["model"] or None,
            c["steps"],
            c["exit"],
            c["signal"],
            {k: c[k] for k in ("unstable", "tflite") if k in c},
        )
        for c in document["cases"]
    )


@dataclass(frozen=True)
class Start:
    """How the process of a case was started."""

    guest: str
    profile: str
    args: tuple[str, ...]
    preopen: bool = True
    backend: bool = True
    models: tuple[Mapping[str, str], ...] = ()


PRELOADED = (
    {"name": "digits", "path": "models/digits_f32.tflite"},
    {"name": "birdm", "path": "models/simple_add_model.tflite"},  # stands in for another model that no call names
)
BAD_PRELOADED = (
    {"name": "badfile", "path": "nofile"},  # the runtime found no such file and kept an empty model
    {"name": "gpu", "path": "models/digits_f32.tflite", "target": "gpu"},
    # `badenc` named an encoding that the runtime does not know: it dropped the entry, so there is no such model.
)


def start(case: Case) -> Start:
    """How to start a case's process: from the recordings' description."""
    kind, _, rest = case.name.partition("/")
    profile = PROFILES[case.recording]
    legacy = case.recording.endswith("-legacy")
    args = tuple(case.calls)
    flavour = "_1_3" if case.recording == "wamr-1.3.3-legacy" else ""
    if kind == "import":
        name, _, called = rest.partition("/")
        return Start(f"imp_{name.removeprefix('eph_')}", profile, ("call",) if called == "called" else ())
    if kind == "abi":
        if rest.startswith("ephemeral-guest"):
            return Start("nnx", profile, args)
        other = {"wamr-WAMR-2.4.5": "wamr-2.4", "wamr-HEAD": "wamr-main", "wasmedge-0.14.1": "wasmedge-0.14"}
        return Start(f"nnx_legacy{flavour}", next(p for n, p in other.items() if n in rest), args)
    if case.name in ("env/exit3", "env/trap"):
        return Start(rest, profile, ())
    if case.name == "env/not-wasm":
        return Start("not-wasm", profile, ())
    if legacy:
        guest = f"nnx_legacy{'_lbn' if kind == 'load_by_name' else ''}{flavour}"
    else:
        guest = "nnx_we" if kind == "ext" else "nnx"
    models: tuple[Mapping[str, str], ...] = ()
    if case.recording.startswith("wasmedge") and (
        kind == "load_by_name" or case.name.startswith("limit/failed-load_by_name") or rest == "unload-named"
    ):
        models = PRELOADED + (BAD_PRELOADED if rest == "badpreload" else ())
    return Start(
        guest,
        profile,
        args,
        preopen=case.name not in ("load_by_name/path/no-preopen", "env/no-preopen-open"),
        backend=case.name not in ("env/backend-or-plugin-absent", "env/backend-absent"),
        models=models,
    )


@dataclass
class Replayed:
    """What a replay did: the guest's own lines, and how the run ended."""

    steps: list[dict[str, Any]]
    outcome: str
    status: int
    kind: str
    message: str
    log: list[str]


def steps_of(output: bytes) -> list[dict[str, Any]]:
    """The guest's lines as steps, in the recordings' form."""
    steps: list[dict[str, Any]] = []
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith("@{"):
            continue
        told = json.loads(line[1:])
        if "call" in told:
            steps.append({**told, "fn": "(no return)"})
        elif steps and steps[-1].get("fn") == "(no return)":
            steps[-1].update(told)
        else:
            steps.append(told)
    return steps


def differences(case: Case, replayed: Replayed) -> Iterator[str]:
    """Where a replay differs from its recording."""
    if case.flags.get("unstable") or _past_a_table(case):
        return
    for at, (wanted, found) in enumerate(zip(case.steps, replayed.steps, strict=False)):
        told = list(_step(case, at, wanted, found))
        yield from (f"step {at} {wanted.get('call', wanted['fn'])}: {t}" for t in told)
        if any(t.startswith("fn ") for t in told):
            break
    if len(case.steps) != len(replayed.steps):
        yield f"steps {len(case.steps)} recorded, {len(replayed.steps)} replayed"
    wanted_end = (128 + case.signal, "host-crash") if case.signal else (case.exit, "")
    if replayed.status != wanted_end[0] or (wanted_end[1] and replayed.outcome != wanted_end[1]):
        recorded = f"signal {case.signal}" if case.signal else f"exit {case.exit}"
        yield f"end: recorded {recorded}, replayed {replayed.outcome} {replayed.status}: {replayed.message}"
    elif case.steps and case.steps[-1]["fn"] == "(no return)" and case.exit == 1 and replayed.outcome != "trap":
        yield f"end: recorded a trap, replayed {replayed.outcome} {replayed.status}: {replayed.message}"


def _past_a_table(case: Case) -> bool:
    return case.recording == "wamr-1.3.3-legacy" and any(_number(c, "enc", 4) >= 5 for c in case.calls if c[0] == "L")


def _step(case: Case, at: int, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    if wanted["fn"] != found.get("fn"):
        yield f"fn {wanted['fn']} errno {wanted.get('errno')} recorded, {found.get('fn')} {found.get('errno')} replayed"
        return
    for key in ("errno", "bytes_written", "size_in"):
        if wanted.get(key) != found.get(key):
            yield f"{key} {wanted.get(key)} recorded, {found.get(key)} replayed"
    for key in ("graph", "ctx"):
        if wanted.get(key) != found.get(key) and not _undefined_handles(case, at):
            yield f"{key} {wanted.get(key)} recorded, {found.get(key)} replayed"
    if "data" in wanted:
        yield from _output(case, at, wanted, found)


def _undefined_handles(case: Case, at: int) -> bool:
    if case.recording.startswith("wamr"):
        return any(_text(c, "f").startswith(JUNK) for c in case.calls[: at + 1] if c[0] == "L")
    most = MOST_HANDLES.get(case.recording)
    before = case.calls[: at + 1]
    return most is not None and max(sum(c[0] in "LN" for c in before), sum(c[0] == "I" for c in before)) > most


def _output(case: Case, at: int, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    a, b = bytes.fromhex(wanted["data"]), bytes.fromhex(found["data"])
    if _arena(case, at):
        return
    if len(a) != len(b) or not _close(case, a, b):
        yield f"data {wanted['data']} recorded, {found['data']} replayed"
    for key in ("last_nonCC", "f32_argmax"):
        if wanted.get(key) != found.get(key):
            yield f"{key} {wanted.get(key)} recorded, {found.get(key)} replayed"
    if not math.isclose(wanted.get("f32_max", 0.0), found.get("f32_max", 0.0), rel_tol=1e-3, abs_tol=_scale(case)):
        yield f"f32_max {wanted.get('f32_max')} recorded, {found.get('f32_max')} replayed"


def _arena(case: Case, at: int) -> bool:
    """Whether an input of the context was never set before the last ``compute``."""
    context = _number(case.steps[at]["call"], "c", 0)
    facts = _models(case)
    inputs = max((len(f.inputs) for f in facts), default=1)
    done: set[int] = set()
    told = False
    for step in case.steps[:at]:
        call = step.get("call", "")
        if _number(call, "c", 0) != context:
            continue
        if call[:1] == "S" and step.get("errno") == 0:
            done.add(_number(call, "i", 0))
        elif call[:1] == "C" and step.get("errno") == 0:
            told = len(done) >= inputs
    return not told and case.steps[at].get("errno") == 0


def _close(case: Case, a: bytes, b: bytes) -> bool:
    """Equal but for one quantization step, or a float's last digits."""
    if a == b:
        return True
    outputs = [o for f in _models(case) for o in f.outputs]
    if any(o.dtype in ("int8", "uint8") for o in outputs) and all(
        min((x - y) % 256, (y - x) % 256) <= 1 for x, y in zip(a, b, strict=True)
    ):
        return True
    words = len(a) // 4
    if a[4 * words :] != b[4 * words :]:
        return False
    floats = zip(struct.unpack_from(f"<{words}f", a), struct.unpack_from(f"<{words}f", b), strict=True)
    relative, absolute = 1e-4, max(1e-6, _scale(case))
    for inside in _softmaxes(case):
        relative, absolute = max(relative, inside.relative), max(absolute, inside.absolute)
    return all(
        x == y or (x != x and y != y) or math.isclose(x, y, rel_tol=relative, abs_tol=absolute) for x, y in floats
    )


class Softmax(NamedTuple):
    """How far probabilities lie apart when each quantized logit is one step off."""

    relative: float
    absolute: float


def _softmaxes(case: Case) -> Iterator[Softmax]:
    """One quantization step inside a model, where floats come out that are a quantized softmax.

    TensorFlow Lite 2.12 and today's interpreters round the last layer of a 16-bit model differently by one step of
    its output, the logits (tflite-runtime 2.12 gives the recorded bytes, LiteRT 2 the others). A logit that is off by
    ``s`` changes a probability by a factor within ``exp(±2 s)``, and that is rounded to the softmax's own step.
    """
    for path in _paths(case):
        graph = _read(path).subgraphs[0]
        for operator in graph.operators:
            before, after = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
            if (
                operator.key.name == "SOFTMAX"
                and before.dtype == "int16"
                and before.quantization
                and after.quantization
            ):
                yield Softmax(math.expm1(2.0 * before.quantization.scales[0]), 1.001 * after.quantization.scales[0])


def _scale(case: Case) -> float:
    """One quantization step of the model's outputs as a real number, where a host hands them out as such."""
    return 1.001 * max((o.scale for f in _models(case) for o in f.outputs if o.quantized), default=0.0)


@cache
def _facts(path: str) -> ModelFacts:
    return read_model((MODELS / path).read_bytes())


@cache
def _read(path: str) -> Model:
    return read_tflite(MODELS / path)


def _models(case: Case) -> list[ModelFacts]:
    """The facts of the models that a case names."""
    return [_facts(path) for path in _paths(case)]


def _paths(case: Case) -> list[str]:
    """The files of the models that a case names."""
    named = {Path(_text(c, "f") or _text(c, "name")).name for c in case.calls if c[0] in "LN"}
    named |= {"digits_f32.tflite"} & ({"digits_f32.tflite"} if any("name=digits," in c for c in case.calls) else set())
    return [n for n in sorted(named) if (MODELS / n).is_file()]


def _text(call: str, key: str) -> str:
    """A value in a call: ``L:f=FILE,enc=4``."""
    for pair in call[2:].split(","):
        name, _, value = pair.partition("=")
        if name == key:
            return value
    return ""


def _number(call: str, key: str, default: int) -> int:
    value = _text(call, key)
    return int(value, 0) if value and not value.startswith("end") else default
