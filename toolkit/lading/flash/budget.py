"""Whether guest, models and arena fit a microcontroller's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.errors import DoesNotFit
from lading.tflite import estimate_memory, read_model
from lading.tflite.memory import MICRO_ALIGNMENT
from lading.units import format_memory
from lading.wasm.read import read_module

if TYPE_CHECKING:
    from lading.client.pushing import Cargo
    from lading.profiles.schema import FirmwareProfile
    from lading.targets.load import Target

_TFLITE: Final = "tensorflowlite"


@dataclass(frozen=True)
class Part:
    """Something that takes memory while a guest runs."""

    name: str
    size: int
    note: str = ""


@dataclass(frozen=True)
class Budget:
    """What a run takes of a board's memory, at least: runtime and firmware come on top."""

    parts: tuple[Part, ...]
    available: int | None
    """What a run may use; None where the target does not say."""

    @property
    def needed(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


def budget(
    bundle: Cargo, target: Target, profile: FirmwareProfile, variant: str = "default", *, linked: bool = False
) -> Budget:
    """What a run of a bundle takes.

    Args:
        bundle: the app.
        target: says how much memory there is.
        profile: says how many models are open at once, and how large an arena may be.
        variant: which of the bundle's variants.
        linked: guest and models are part of the firmware and stay in flash; otherwise they are read from the file
            system into memory, since a file there does not lie in one piece.

    Raises:
        DoesNotFit: a model's arena is larger than the firmware sets aside.
    """
    chosen = bundle.bill.variant(variant)
    encodings = {(m.name, m.version): m.encoding for m in bundle.bill.models}
    module = _blob(bundle, chosen.module.digest)
    pages = [memory.minimum * memory.page_bytes for memory in read_module(module).memories]
    parts = [Part("guest memory", sum(pages), "at its start")]
    if not linked:
        parts.append(Part("guest", len(module), "read from the file system"))
    arenas: list[tuple[int, str]] = []
    models: list[tuple[int, str]] = []
    for model in chosen.models:
        models.append((model.size, model.name))
        if encodings.get((model.name, model.version)) == _TFLITE:
            needed = estimate_memory(read_model(_blob(bundle, model.digest)), alignment=MICRO_ALIGNMENT).arena_bytes
            _check_arena(model.name, needed, profile)
            arenas.append((needed, model.name))
    at_once = profile.limits.graphs or len(models)
    for size, name in sorted(models, reverse=True)[:at_once] if not linked else ():
        parts.append(Part(f"model {name}", size, "read from the file system"))
    for size, name in sorted(arenas, reverse=True)[: profile.limits.contexts or len(arenas)]:
        parts.append(Part(f"arena of {name}", size, "at least"))
    return Budget(tuple(parts), target.run_memory_bytes)


def check(budget: Budget, target: Target) -> None:
    """Refuse what does not fit.

    Raises:
        DoesNotFit: with the figures.
    """
    if budget.available is None or budget.needed <= budget.available:
        return
    listed = ", ".join(f"{part.name} {format_memory(part.size)}" for part in budget.parts)
    raise DoesNotFit(
        f"a run needs at least {format_memory(budget.needed)} of memory, and {target.id} has "
        f"{format_memory(budget.available)} for it: {listed}",
        remedy="build the guest with less memory (a smaller stack: wasm-ld -z stack-size=…), use smaller models, or "
        "link them into the firmware (--c-array); --anyway writes it all the same",
        details={"needed_bytes": budget.needed, "available_bytes": budget.available},
    )


def check_linked(bundle: Cargo, target: Target, variant: str = "default") -> int:
    """Bytes of guest and models, for a firmware that has them inside.

    Raises:
        DoesNotFit: they are larger than the part of the flash that firmware goes to.
    """
    chosen = bundle.bill.variant(variant)
    size = chosen.module.size + sum({model.digest: model.size for model in chosen.models}.values())
    flash = target.table.flash
    rooms = [int(p.size) for p in flash.partition if p.use == "firmware"] if flash and not flash.external else []
    room = rooms[0] if rooms else target.table.storage.size
    if room is not None and size > room:
        raise DoesNotFit(
            f"guest and models are {format_memory(size)}, and firmware on {target.id} has {format_memory(room)}",
            remedy="use smaller models, or a file system (--output) on a larger flash",
            details={"needed_bytes": size, "available_bytes": room},
        )
    return size


def _check_arena(name: str, needed: int, profile: FirmwareProfile) -> None:
    limit = profile.limits.arena_bytes
    if limit is not None and needed > limit:
        raise DoesNotFit(
            f"model '{name}' needs an arena of at least {format_memory(needed)}, the firmware sets aside "
            f"{format_memory(int(limit))}",
            remedy="use a smaller model, or give the firmware a larger arena and its profile the new size",
            details={"needed_bytes": needed, "available_bytes": int(limit)},
        )


def _blob(bundle: Cargo, digest: str) -> bytes:
    with bundle.open_blob(digest) as file:
        return file.read()
