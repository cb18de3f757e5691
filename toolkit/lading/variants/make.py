"""Makes the variants of a guest with its models: one for each firmware that would refuse them as they are.

Nothing is run on the firmware's own behaviour here. Each variant is run once on the recorder, and the check holds that
trace against the firmware's data: its word is what a bundle promises.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.check import Place, judge
from lading.errors import LadingError, NotAdaptable
from lading.trace.record import Answers, layouts_of, record
from lading.variants import rewrite
from lading.variants.plan import candidates, handled
from lading.variants.told import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lading.check import Verdict
    from lading.profiles.schema import FirmwareProfile
    from lading.trace.document import Trace, TracedModel
    from lading.trace.subject import Subject
    from lading.variants.plan import Candidate
    from lading_agent.nn.facts import ModelFacts

    Progress = Callable[[int, int], None]

AT_ONCE: Final = 2
TIME_S: Final = 15.0
"""How long a rewritten guest is watched: as long as any guest before a deploy."""

MOST_INSIDE: Final = 16 * 1024 * 1024
"""Bytes of models that a guest may carry: each variant that does so has them once more."""

ENDLESS_S: Final = 4.0
"""The same for a guest that goes on for ever: what it does over and over again shows early."""


@dataclass(frozen=True)
class Unserved:
    """A firmware for which no variant could be made."""

    profile: str
    known_by: str
    reason: str
    """What the check says of the guest as it was given."""
    remedy: str = ""
    """What to do about that, or about what became of the last attempt."""
    attempt: str = ""
    """How far the last attempt at a variant came; empty where none could be thought of."""


@dataclass(frozen=True)
class Made:
    """One variant. What it does not change, it shares with the guest and the models as they were given."""

    module: bytes | None = None
    """The rewritten guest; None: as it was given."""
    models: Mapping[str, bytes] = field(default_factory=dict)
    """Retyped models by reference (``name@version``)."""
    forms: Mapping[str, str] = field(default_factory=dict)
    """The type that their inputs and outputs have now, by reference."""
    conversion: tuple[dict[str, Any], ...] = ()
    answers: Answers | None = None
    trace: Trace | None = None
    profiles: tuple[str, ...] = ()
    """The firmwares on which the check says ``ok``, in order of their ids."""


@dataclass(frozen=True)
class Variants:
    """Everything that was made for a guest."""

    default: Made
    others: tuple[Made, ...] = ()
    unserved: tuple[Unserved, ...] = ()
    traceable: bool = True
    """Whether the guest as it was given could be watched to an end that tells something."""


def make_variants(
    subject: Subject, trace: Trace, profiles: Sequence[FirmwareProfile], *, optimize: bool = False,
    progress: Progress | None = None,
) -> Variants:  # fmt: skip
    """Make what each of the firmwares needs.

    Args:
        subject: the guest and its models.
        trace: what it does as it was given.
        profiles: the firmwares.
        optimize: take out of rewritten guests what no engine needs.
        progress: called with firmwares done, and firmwares in all.
    """
    layouts = {module: p.abi.layout for p in profiles if p.abi is not None for module in p.abi.modules}
    maker = _Maker(subject, trace, layouts, optimize=optimize)
    done = 0
    lock = threading.Lock()

    def serve(profile: FirmwareProfile) -> _Served:
        nonlocal done
        served = maker.serve(profile)
        with lock:
            done += 1
            if progress:
                progress(done, len(profiles))
        return served

    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="variant") as pool:
        try:
            served = list(pool.map(serve, sorted(profiles, key=lambda p: p.id)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever interrupts does not want the rest
            raise
    by_key: dict[str, list[str]] = {}
    unserved = []
    for one in served:
        if one.key is None:
            unserved.append(Unserved(one.profile, one.known_by, one.reason, one.remedy, one.attempt))
        else:
            by_key.setdefault(one.key, []).append(one.profile)
    default = Made(trace=trace, profiles=tuple(by_key.pop(_DEFAULT, ())))
    others = tuple(replace(maker.made(key), profiles=tuple(ids)) for key, ids in by_key.items())
    return Variants(default, others, tuple(unserved))


def passes(verdict: Verdict) -> bool:
    """Whether a verdict is one that a bundle may promise.

    Every call succeeds, or the guest was seen to deal with the very answer that it gets; and no data is lost.
    """
    return (verdict.verdict == "ok" or verdict.handled) and not any(_loses(text) for text in verdict.warnings)


def _loses(warning: str) -> bool:
    return warning.startswith(("input ", "output "))


_DEFAULT: Final = ""


@dataclass(frozen=True)
class _Served:
    profile: str
    known_by: str
    key: str | None
    """Of what was made for it; None: nothing could be."""
    reason: str = ""
    remedy: str = ""
    attempt: str = ""


class _Maker:
    def __init__(self, subject: Subject, trace: Trace, layouts: Mapping[str, str], *, optimize: bool) -> None:
        self._subject, self._trace, self._optimize = subject, trace, optimize
        self._module = subject.module.read_bytes()
        self._ways = handled(trace)
        self._layouts = {**layouts_of(), **layouts}
        self._retyped: dict[tuple[str, str], rewrite.Retyped | None] = {}
        self._brought: dict[str, Path | None] = {}
        self._made: dict[str, Made] = {}
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def made(self, key: str) -> Made:
        return self._made[key]

    def serve(self, profile: FirmwareProfile) -> _Served:
        place = Place(profile)
        found = judge(self._trace, place)
        known_by = profile.provenance.known_by
        if passes(found) or (found.verdict == "unknown" and not profile.runs_guests):
            return _Served(profile.id, known_by, _DEFAULT)
        reason, remedy = found.sentence(), found.remedy
        if not self._trace.calls:
            return _Served(profile.id, known_by, None, reason, remedy)
        attempt = ""
        for candidate in candidates(self._trace, profile, self._facts):
            try:
                key = self._build(candidate, profile)
            except LadingError as error:
                attempt, remedy = error.message, error.remedy or remedy
                continue
            except Exception as error:  # noqa: BLE001  (what cannot be converted keeps nothing else from being packed)
                attempt, remedy = f"the conversion failed ({type(error).__name__}: {error})", "report this"
                continue
            if key == _DEFAULT:
                continue
            made = self._made[key]
            assert made.trace is not None
            verdict = judge(made.trace, place)
            if passes(verdict) or (verdict.verdict == "unknown" and not profile.runs_guests):
                return _Served(profile.id, known_by, key)
            said = verdict.sentence() if verdict.verdict != "ok" else "; ".join(verdict.warnings)
            attempt, remedy = f"{summary(made.conversion)}: {said}", verdict.remedy or remedy
        return _Served(profile.id, known_by, None, reason, remedy, attempt)

    def _source(self, model: TracedModel) -> tuple[Path | None, bool]:
        """The file of a model that the guest uses, and whether the guest itself hands over its bytes."""
        ways = {
            c.function == "load" for c in self._trace.calls if c.model == model.id and c.function.startswith("load")
        }
        if len(ways) != 1:  # once by its name and once by its bytes: two places that would have to agree
            return None, False
        if ways == {True}:
            return self._brought.setdefault(model.id, find_file(self._subject, model)), True
        found = (m for m in self._subject.models if (m.name, m.version) == (model.name, model.version))
        return next((Path(m.path) for m in found), None), False

    def _facts(self, model: str, form: str) -> ModelFacts | None:
        found = self._retype(model, form)
        return None if found is None else found.facts

    def _retype(self, model: str, form: str) -> rewrite.Retyped | None:
        with self._lock:
            if (model, form) not in self._retyped:
                source, _ = self._source(self._trace.models[model])
                data = source.read_bytes() if source is not None else b""
                self._retyped[model, form] = rewrite.retyped_model(data, form) if data else None
            return self._retyped[model, form]

    def _build(self, candidate: Candidate, profile: FirmwareProfile) -> str:
        """Make what a candidate proposes; what was made before is not made again."""
        models: dict[str, bytes] = {}
        forms: dict[str, str] = {}
        conversion: list[dict[str, Any]] = []
        swapped: list[tuple[bytes, bytes]] = []
        now: dict[str, ModelFacts] = {}
        for identifier, form in sorted(candidate.forms.items()):
            found = self._retype(identifier, form)
            assert found is not None
            model = self._trace.models[identifier]
            now[identifier] = found.facts
            source, brought = self._source(model)
            assert source is not None
            if brought:
                reference = source.name
                swapped.append((source.read_bytes(), found.data))
            else:
                reference = f"{model.name}@{model.version}" if model.version else str(model.name)
                models[reference], forms[reference] = found.data, form
            conversion.append({"what": "model", "model": reference, "changes": list(found.changes)})
        module, answers = None, None
        if candidate.adapted:
            carried = self._carried(models) if candidate.carried else {}
            _check_size({*carried.values(), *(data for _, data in swapped)})
            rewritten = rewrite.guest(
                self._module, self._trace, profile, now, self._ways, converted=candidate.converted,
                carried=carried, swapped=swapped, optimize=self._optimize,
            )  # fmt: skip
            if rewritten.module != self._module:
                module, answers = rewritten.module, rewritten.answers
                conversion += rewritten.changes
        key = _key(module, models)
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            if key not in self._made:
                trace = self._watch(module, models, answers)
                self._made[key] = Made(module, models, forms, tuple(conversion), answers, trace)
        return key

    def _carried(self, models: Mapping[str, bytes]) -> dict[str, bytes]:
        """The bytes of every model that the guest may ask for, by the names that it may use."""
        found: dict[str, bytes] = {}
        for spec in self._subject.models:
            reference = f"{spec.name}@{spec.version}" if spec.version else spec.name
            data = models.get(reference)
            data = Path(spec.path).read_bytes() if data is None else data
            found.setdefault(spec.name, data)
            found[reference] = data
        return found

    def _watch(self, module: bytes | None, models: Mapping[str, bytes], answers: Answers | None) -> Trace:
        with tempfile.TemporaryDirectory(prefix="lading-variant-") as scratch:
            subject = with_contents(self._subject, Path(scratch), module, models)
            endless = self._trace.end.kind == "time-limit"
            time_s = ENDLESS_S if endless else TIME_S
            return record(subject, time_s=time_s, run_without_nn=False, answers=answers, layouts=self._layouts)


def _check_size(models: set[bytes]) -> None:
    size = sum(map(len, models))
    if size > MOST_INSIDE:
        raise NotAdaptable(
            f"its models would have to become part of the guest, and with {size} bytes they are too large for that",
            remedy=f"use models of at most {MOST_INSIDE} bytes, or let the guest load the model's bytes itself",
        )


def find_file(subject: Subject, model: TracedModel) -> Path | None:
    """The file of a model whose bytes the guest hands over: among the project's models, or in its directories."""
    files = [Path(spec.path) for spec in subject.models]
    files += [path for opened in subject.dirs if not opened.writable for path in sorted(Path(opened.host).rglob("*"))]
    for path in files:
        try:
            if path.is_file() and path.stat().st_size == model.size:
                data = path.read_bytes()
                if f"sha256:{hashlib.sha256(data).hexdigest()}" == model.digest:
                    return path
        except OSError:
            continue
    return None


def with_contents(subject: Subject, scratch: Path, module: bytes | None, models: Mapping[str, bytes]) -> Subject:
    """The same subject with another guest and other models."""
    path = subject.module
    if module is not None:
        path = scratch / subject.module.name
        path.write_bytes(module)
    specs = []
    for number, spec in enumerate(subject.models):
        data = models.get(f"{spec.name}@{spec.version}" if spec.version else spec.name)
        if data is not None:
            file = scratch / f"model-{number}"
            file.write_bytes(data)
            specs.append(replace(spec, path=str(file)))
        else:
            specs.append(spec)
    return replace(subject, module=path, models=tuple(specs))


def _key(module: bytes | None, models: Mapping[str, bytes]) -> str:
    if module is None and not models:
        return _DEFAULT
    found = hashlib.sha256(module or b"")
    for reference, data in sorted(models.items()):
        found.update(reference.encode() + b"\0" + hashlib.sha256(data).digest())
    return found.hexdigest()
