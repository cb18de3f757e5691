"""Variants that are compiled ahead for the boards of a pack, beside the portable ones that they are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lading.bundle.content import Bytes
from lading.errors import VariantError
from lading.variants.guests import aot
from lading.variants.guests.tools import version
from lading.variants.told import promised
from lading_agent.ahead import KEY, Ahead
from lading_agent.bill import Blob, Variant
from lading_agent.facts.software import parse_version
from lading_agent.runs.program import covers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.bundle.cargo import Cargo
    from lading.check.judge import Place
    from lading.profiles.schema import Command
    from lading_agent.bill import Bill

NAME_BYTES = 62


@dataclass(frozen=True)
class CompiledAhead:
    """A bill with its compiled variants, and what has to be said about those that it lacks."""

    bill: Bill
    notes: tuple[str, ...] = ()


def compiled_ahead(bill: Bill, places: Sequence[Place], cargo: Cargo) -> CompiledAhead:
    """Compile the variants of a bill for the targets among some places, where their runtime takes such code.

    What cannot be compiled is told and left out: the portable variant is there in any case.

    Args:
        bill: with its portable variants.
        places: for which the bundle is packed; only those with a target have an architecture.
        cargo: gets the code.
    """
    notes: dict[str, None] = {}
    made: dict[Ahead, Variant] = {}
    ordered = sorted(places, key=lambda place: (place.profile.id, place.target.id if place.target else ""))
    asked = [(p.profile.command, p) for p in ordered if p.profile.command and p.profile.command.ahead_of_time]
    if not any(place.target for _, place in asked):
        notes["nothing is compiled ahead: no target (--for) has a runtime that takes it"] = None
    for command, place in asked:
        profile, target = place.profile, place.target
        base = next((v for v in bill.variants if profile.id in promised(v)), None)
        if target is None or base is None:
            continue
        if aot.compiler(command.ahead_of_time) is None:
            name = command.ahead_of_time
            notes[f"nothing is compiled ahead by {name}: there is no {name} on this machine"] = None
            continue
        try:
            release = _release(command, profile.id)
            ahead = Ahead(target.architecture, command.runtime, release, base.id)
            if ahead in made:
                continue
            done = aot.compile_ahead(
                cargo.read(base.module.digest),
                target.architecture,
                profile.wasm.features,
                program=command.ahead_of_time,
            )
        except VariantError as error:
            remedy = f" ({error.remedy})" if error.remedy else ""
            notes[f"not compiled ahead for {target.id}, {profile.id}: {error.message}{remedy}"] = None
            continue
        content = Bytes.of(done.code)
        cargo.keep(content)
        taken = {variant.id for variant in (*bill.variants, *made.values())}
        made[ahead] = _variant(base, ahead, Blob(content.digest, content.size), done.compiler, taken)
    served = {
        ahead: [
            p.profile.id
            for command, p in asked
            if p.target is not None
            and (p.target.architecture, command.runtime) == (ahead.architecture, ahead.runtime)
            and p.profile.id in promised(bill.variant(ahead.portable))
            and covers(_releases(command), ahead.version)
        ]
        for ahead in made
    }
    compiled = tuple(
        replace(variant, provides={"profiles": sorted(set(served[ahead]))}) for ahead, variant in made.items()
    )
    return CompiledAhead(replace(bill, variants=(*bill.variants, *compiled)), tuple(notes))


def _release(command: Command, profile: str) -> str:
    """The release of the compiler, where it is one that the firmware stands for.

    Raises:
        VariantError: it is of another one.
    """
    name = command.ahead_of_time
    release = parse_version(name, version(aot.compiler(name) or name))
    if not covers(_releases(command), release):
        wanted = f"{command.since} or later, before {command.before}" if command.since else "of a known release"
        raise VariantError(
            f"{name} is {release or 'of an unknown release'}, and only one of the board's own release makes what "
            f"{command.runtime} loads; {profile} stands for {wanted}",
            remedy=f"install the {name} of the board's {command.runtime}",
        )
    return release


def _releases(command: Command) -> dict[str, str]:
    return {"since": command.since, "before": command.before}


def _variant(base: Variant, ahead: Ahead, module: Blob, compiler: str, taken: set[str]) -> Variant:
    stem = f"{base.id}-{ahead.architecture.replace('_', '-').lower()}-aot"[-NAME_BYTES:].lstrip("-._")
    identifier, number = stem, 2
    while identifier in taken:
        identifier, number = f"{stem[: NAME_BYTES - 4]}-{number}", number + 1
    entry: dict[str, Any] = {
        "what": "compiled",
        "compiler": compiler,
        "version": ahead.version,
        "architecture": ahead.architecture,
        "portable": ahead.portable,
    }
    return Variant(
        id=identifier,
        module=module,
        models=base.models,
        needs={**base.needs, KEY: asdict(ahead)},
        conversion=(*base.conversion, entry),
    )
