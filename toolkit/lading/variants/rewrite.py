"""From a candidate to bytes: models retyped, guests rewritten, and what was done to each."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from lading.check.loading import refused_feature
from lading.errors import ModelError, NotAdaptable, NotRetypable
from lading.trace.numbering import NUMBERINGS
from lading.trace.record import Answers
from lading_agent.nn.facts import read_model

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from lading.profiles.schema import FirmwareProfile
    from lading.trace.document import Trace
    from lading.variants.guests.abi import Abi, Conversion, Dtype, Known
    from lading.variants.plan import Handled
    from lading_agent.nn.facts import ModelFacts, TensorFacts

Direction = Literal["input", "output"]


_BY_NAME: Final = frozenset(("load_by_name", "load_by_name_with_config"))


@dataclass(frozen=True)
class Retyped:
    """A model with other inputs and outputs."""

    data: bytes
    facts: ModelFacts
    changes: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Rewritten:
    """A guest that was made for a host."""

    module: bytes
    answers: Answers
    """What the host's answers look like to it."""
    changes: tuple[dict[str, Any], ...]


def retyped_model(data: bytes, form: str) -> Retyped | None:
    """A model with inputs and outputs of a type, as far as they can have it; None where nothing can be changed."""
    from lading.variants.models.retype import possible, retype

    try:
        try:
            made = retype(data, inputs=form, outputs=form)
        except NotRetypable:
            ways = possible(data)
            sides = {
                "inputs": form if ways.inputs[form].possible else None,
                "outputs": form if ways.outputs[form].possible else None,
            }
            made = retype(data, **sides)
    except (NotRetypable, ModelError):
        return None
    if not made.changes:
        return None
    return Retyped(made.data, read_model(made.data), tuple(asdict(change) for change in made.changes))


def guest(
    module: bytes,
    trace: Trace,
    profile: FirmwareProfile,
    models: Mapping[str, ModelFacts],
    ways: Mapping[str, Handled],
    *,
    converted: Collection[str],
    carried: Mapping[str, bytes],
    swapped: Sequence[tuple[bytes, bytes]],
    optimize: bool,
) -> Rewritten:
    """Rewrite a guest for a host.

    Args:
        module: the guest.
        trace: what it does.
        profile: the host.
        models: facts of the models that were retyped, by their ids in the trace.
        ways: how the guest handles the tensors of each model.
        converted: ids of the models whose data the guest's side is to convert.
        carried: models that it is to bring along, by name.
        swapped: models whose bytes it hands over, and those that are loaded in their place.
        optimize: take out what no engine needs.

    Raises:
        NotAdaptable: it cannot be had; says why.
        ModuleError: the guest is malformed.
    """
    from lading.variants.guests.abi import Plan, abi_of, abi_of_era
    from lading.variants.guests.adapt import adapt

    speaks = abi_of_era(_era(trace))
    host = abi_of(profile) if profile.runs_guests else speaks
    changes: list[dict[str, Any]] = []
    if swapped:
        from lading.variants.swap import swap

        module = swap(module, swapped, speaks)
        changes += [_change("model inside", f"loaded for another of {len(old)} bytes") for old, _ in swapped]
    if carried:
        host = replace(host, refused=host.refused | _BY_NAME)
    called = {c.function for c in trace.calls}
    imported = {i["name"] for i in trace.module["imports"] if i["module"] == speaks.module}
    tensors, known = _conversions(trace, models, ways, converted)
    plan = Plan(
        guest=speaks,
        host=host,
        tensors=tensors,
        known=known,
        uncalled=frozenset(imported - called),
        models=carried,
        encodings=_encodings(speaks, profile),
    )
    adapted = adapt(module, plan)
    module = adapted.module
    changes += [_change(change.what, change.how) for change in adapted.changes]
    refused = refused_feature(trace.module, profile.wasm.features)
    if refused is not None:
        from lading.variants.guests.lower import lower

        lowered = lower(module, profile.wasm.features)
        module = lowered.module
        changes += [_change(change.what, change.how) for change in lowered.changes]
    if optimize:
        from lading.variants.guests.slim import slim

        slimmed = slim(module)
        if len(slimmed.module) < len(module):
            changes.append(_change("module", f"{len(module) - len(slimmed.module)} bytes less"))
            module = slimmed.module
    return Rewritten(module, Answers(dict(host.errno), count_elements=host.size_unit == "words"), tuple(changes))


def _change(part: str, how: str) -> dict[str, Any]:
    return {"what": "guest", "part": part, "change": how}


def _era(trace: Trace) -> str:
    """For which numbering the guest was built; where no call tells, any of those that fit all calls."""
    found = trace.numbering
    names = [found.name, *found.candidates]
    known = next((name for name in names if name in NUMBERINGS), None)
    if known is None:
        raise NotAdaptable(
            "no numbering fits all calls of the guest: it cannot be rewritten for another one",
            remedy="build it for one release of the wasi-nn bindings; `lading trace` shows its calls",
        )
    return known


def _encodings(speaks: Abi, profile: FirmwareProfile) -> dict[str, str]:
    """Guests may leave it to the host which encoding a model has; where the host does not know, it is told."""
    table = profile.encodings
    if table is None or "autodetect" in table.accept or "autodetect" not in speaks.encodings.numbers:
        return {}
    return {"autodetect": "tensorflowlite"}


def _conversions(
    trace: Trace, models: Mapping[str, ModelFacts], ways: Mapping[str, Handled], converted: Collection[str]
) -> tuple[tuple[Conversion, ...], dict[str, Known]]:
    """What has to happen to tensor data on its way; where models differ in it, how they are told apart."""
    from lading.variants.guests.abi import Known

    found: dict[tuple[Conversion, ...], list[str]] = {}
    for identifier, way in ways.items():
        model = trace.models[identifier]
        now = models.get(identifier, model.facts)
        sides: tuple[tuple[Direction, tuple[TensorFacts, ...], tuple[TensorFacts, ...]], ...] = (
            ("input", model.facts.inputs, now.inputs),
            ("output", model.facts.outputs, now.outputs),
        )
        needed = tuple(
            _conversion(direction, index, way, before, after)
            for direction, given, made in sides
            for index, (before, after) in enumerate(zip(given, made, strict=True))
            if identifier in converted and way.guest_dtype(direction, index, before) != after.dtype
        )
        found.setdefault(needed, []).append(identifier)
    if len(found) <= 1:
        return next(iter(found), ()), {}
    known = {}
    for identifier in ways:
        model, now = trace.models[identifier], models.get(identifier, trace.models[identifier].facts)
        names = {model.name, f"{model.name}@{model.version}"} if model.name else set[str]()
        known[identifier] = Known(frozenset(names), now.size)
    return (
        tuple(replace(c, model=identifier) for needed, used in found.items() for identifier in used for c in needed),
        known,
    )


def _conversion(direction: Direction, index: int, way: Handled, before: TensorFacts, after: TensorFacts) -> Conversion:
    from lading.variants.guests.abi import WIDTH, Conversion

    guest = way.guest_dtype(direction, index, before)
    if guest not in WIDTH or after.dtype not in WIDTH:
        raise NotAdaptable(
            f"{direction} {index} would have to be converted from {guest} to {after.dtype}",
            remedy="convert the model with inputs and outputs of the guest's own types",
        )
    integers = before if before.dtype in ("int8", "uint8") else after
    return Conversion(
        direction,
        index,
        cast("Dtype", guest),
        cast("Dtype", after.dtype),
        integers.scale,
        integers.zero_point,
        integers.count,
    )
