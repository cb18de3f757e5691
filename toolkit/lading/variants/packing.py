"""Variants on their way into a bundle: made or taken from the cache, written into the bill, with golden vectors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lading.bundle.content import Bytes, FileContent
from lading.check.judge import Place
from lading.check.places import places
from lading.errors import LadingError
from lading.trace import cache as traces
from lading.variants import kept
from lading.variants.ahead import compiled_ahead
from lading.variants.golden import converted
from lading.variants.plan import hosts_tflite
from lading_agent.bill import DEFAULT_VARIANT, Blob, Variant, VariantModel
from lading_agent.nn.facts import read_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lading.bundle.cargo import Cargo
    from lading.datafiles import Skipped
    from lading.profiles.schema import FirmwareProfile
    from lading.project.load import Project
    from lading.trace.document import Trace
    from lading.variants.make import Made, Variants
    from lading_agent.bill import Bill, Golden

    Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """Which variants a bundle is to have."""

    names: tuple[str, ...] | None = None
    """Targets, firmware profiles, devices, or ``all``; None: what the project says, else every host of TFLite."""
    none: bool = False
    """Only the guest as it is."""
    optimize: bool = False
    """Rewritten guests without what no engine needs."""
    ahead_of_time: bool = False
    """For targets also variants that are compiled ahead."""


@dataclass(frozen=True)
class Report:
    """What became of the variants of a bundle."""

    profiles: tuple[str, ...]
    """The firmwares that were looked at."""
    unserved: tuple[dict[str, str], ...] = ()
    """Those that none of the variants suits: ``profile``, ``known_by``, ``reason``, ``remedy``, ``attempt``."""
    note: str = ""
    """Why there is nothing but the guest as it is."""
    ahead: tuple[str, ...] = ()
    """Why something is not compiled ahead that was to be."""


class Packer:
    """Adds the variants to a bill while a bundle is made of it."""

    def __init__(self, wanted: Wanted, *, skipped: Skipped | None = None) -> None:
        self._wanted = wanted
        self._skipped = skipped
        self.report = Report(())

    def add(self, project: Project, bill: Bill, cargo: Cargo, progress: Progress | None = None) -> Bill:
        """The bill with its variants; their contents go to the cargo.

        Raises:
            NameNotFound, NameNotUnique, DataFileError: what the variants are wanted for is not known.
            ModuleError: the guest is malformed.
        """
        if self._wanted.none:
            return bill
        wanted = self._places(project)
        by_id = {place.profile.id: place.profile for place in wanted}
        profiles = [by_id[i] for i in sorted(by_id)]
        if not profiles:
            return bill
        optimize = self._wanted.optimize or project.pack.optimize
        key = kept.key_of(bill, profiles, optimize=optimize)
        document = kept.read(key)
        made: dict[str, Trace] = {}
        if document is None:
            document, contents, made = self._make(project, bill, profiles, optimize, progress)
            for data in contents.values():
                cargo.keep(Bytes.of(data))
            kept.write(key, document, contents)
        else:
            for digest in document["contents"]:
                content = FileContent.hashed(kept.content(digest), "a kept variant")
                if content.digest != digest:
                    raise LadingError(
                        f"{content.path} is damaged: its content is another than its name says",
                        remedy=f"remove {kept.cache_dir()}; it is only a cache",
                    )
                cargo.keep(content)
        self.report = Report(
            tuple(profile.id for profile in profiles), tuple(document["unserved"]), str(document["note"])
        )
        result = _with_variants(bill, document)
        if self._wanted.ahead_of_time or project.pack.ahead_of_time:
            found = compiled_ahead(result, wanted, cargo)
            result = found.bill
            self.report = replace(self.report, ahead=found.notes)
        result = replace(result, golden=_golden(result, cargo))
        for variant_id, trace in made.items():
            traces.keep(result, variant_id, trace)
        return result

    def _places(self, project: Project) -> list[Place]:
        from lading import profiles

        names = self._wanted.names if self._wanted.names is not None else project.pack.wanted_for
        if names is not None and not names:
            return []
        if names is not None and list(names) != ["all"]:
            return places(list(names), project.root)
        known = profiles.load_all(project.root, skipped=self._skipped)
        return [Place(profile) for profile in known.values() if hosts_tflite(profile)]

    def _make(
        self,
        project: Project,
        bill: Bill,
        profiles: Sequence[FirmwareProfile],
        optimize: bool,
        progress: Progress | None,
    ) -> tuple[dict[str, Any], dict[str, bytes], dict[str, Trace]]:
        from lading.trace import open_subject, record
        from lading.variants.make import make_variants

        with open_subject(project.root) as subject:
            trace = traces.kept(bill)
            if trace is None:
                trace = record(subject, project_dir=project.root, time_s=traces.TIME_S, run_without_nn=False)
                traces.keep(bill, DEFAULT_VARIANT, trace)
            if not _telling(trace):
                note = _untraceable(trace) if trace.module["nn_modules"] and trace.module["kind"] == "core" else ""
                return {"default": None, "others": [], "unserved": [], "note": note}, {}, {}
            found = make_variants(
                subject,
                trace,
                profiles,
                optimize=optimize,
                progress=(lambda done, total: progress("variants", done, total)) if progress else None,
            )
        contents: dict[str, bytes] = {}
        document = _document(found, contents)
        made = {other["id"]: m.trace for other, m in zip(document["others"], found.others, strict=True)}
        return document, contents, {i: t for i, t in made.items() if t is not None}


def _telling(trace: Trace) -> bool:
    """Whether a run showed enough of a guest to make variants of it."""
    return bool(trace.calls) and (trace.got_output or (trace.end.by_itself and not trace.end.status))


def _untraceable(trace: Trace) -> str:
    """Why nothing can be made of a guest that uses wasi-nn."""
    how = f"it ended with status {trace.end.status}" if trace.end.by_itself else trace.end.message or trace.end.kind
    what = "came to no output" if trace.calls else "made no wasi-nn call"
    return f"no variants: the guest {what} when it was run once to see what it does ({how})"


def _document(found: Variants, contents: dict[str, bytes]) -> dict[str, Any]:
    default = found.default
    assert default.trace is not None
    used: set[str] = {DEFAULT_VARIANT}
    others = []
    for made in found.others:
        models = {}
        for reference, data in made.models.items():
            models[reference] = _blob(data, contents)
        identifier = _identifier(made.profiles[0], used)
        others.append(
            {
                "id": identifier,
                "module": None if made.module is None else _blob(made.module, contents),
                "models": models,
                "needs": _needs(made),
                "provides": {"profiles": list(made.profiles)},
                "conversion": list(made.conversion),
            }
        )
    return {
        "default": {"needs": _needs(default), "provides": {"profiles": list(default.profiles)}},
        "others": others,
        "unserved": [asdict(u) for u in found.unserved],
        "note": "",
    }


def _identifier(profile: str, used: set[str]) -> str:
    """A variant is called after the first firmware that it is for; ids of variants are in small letters."""
    base = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in profile.lower())[:56]
    base = base if base[:1].isalnum() else f"v{base}"
    identifier, number = base, 2
    while identifier in used:
        identifier, number = f"{base}-{number}", number + 1
    used.add(identifier)
    return identifier


def _blob(data: bytes, contents: dict[str, bytes]) -> dict[str, Any]:
    content = Bytes.of(data)
    contents[content.digest] = data
    return {"digest": content.digest, "size": content.size}


def _needs(made: Made) -> dict[str, Any]:
    """What a variant wants of its host, in what its module and models say of themselves."""
    trace = made.trace
    assert trace is not None
    imports = [i for i in trace.module["imports"] if i["module"] in trace.module["nn_modules"]]
    needs: dict[str, Any] = {
        "modules": sorted({i["module"] for i in imports}),
        "functions": sorted({i["name"] for i in imports}),
        "features": sorted(trace.module["features"]),
        "tensors": {
            model.name: {
                "inputs": [tensor.dtype for tensor in model.facts.inputs],
                "outputs": [tensor.dtype for tensor in model.facts.outputs],
            }
            for model in trace.models.values()
            if model.name and not model.facts.error
        },
    }
    if made.answers is not None:
        needs["errno"] = dict(made.answers.errno)
        needs["sizes"] = "elements" if made.answers.count_elements else "bytes"
    return needs


def _with_variants(bill: Bill, document: dict[str, Any]) -> Bill:
    default = bill.variant()
    if document["default"] is None:
        return bill
    variants = [replace(default, **document["default"])]
    for other in document["others"]:
        changed = other["models"]
        models = tuple(replace(m, **changed[_reference(m)]) if _reference(m) in changed else m for m in default.models)
        variants.append(
            Variant(
                id=other["id"],
                module=default.module if other["module"] is None else Blob(**other["module"]),
                models=models,
                needs=other["needs"],
                provides=other["provides"],
                conversion=tuple(other["conversion"]),
            )
        )
    return replace(bill, variants=tuple(variants))


def _reference(model: VariantModel) -> str:
    return f"{model.name}@{model.version}" if model.version else model.name


def _golden(bill: Bill, cargo: Cargo) -> tuple[Golden, ...]:
    """The golden vectors of all variants: for each form of a model one that has its types."""
    found: list[Golden] = []
    for golden in bill.golden:
        model = bill.find_model(golden.model)
        by_digest: dict[str, list[str]] = {}
        for variant in bill.variants:
            shipped = next(m for m in variant.models if (m.name, m.version) == (model.name, model.version))
            by_digest.setdefault(shipped.digest, []).append(variant.id)
        (original, ids), *others = by_digest.items()
        found.append(replace(golden, variants=tuple(ids)) if others else golden)
        for digest, ids in others:
            before, after = read_model(cargo.read(original)), read_model(cargo.read(digest))
            vector, contents = converted(golden, before, after, cargo.read)
            for content in contents:
                cargo.keep(content)
            found.append(replace(vector, variants=tuple(ids)))
    return tuple(found)
