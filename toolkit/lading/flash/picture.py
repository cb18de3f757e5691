"""A picture of flash and memory in lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.units import format_memory

if TYPE_CHECKING:
    from lading.flash.budget import Budget
    from lading.flash.image import FlashImage
    from lading.targets.schema import Flash

WIDTH: Final = 24
FULL: Final = "█"
EMPTY: Final = "·"


def flash_map(flash: Flash, image: FlashImage) -> list[str]:
    """One line a partition: where it lies, how large it is, and how much of the releases' one is used."""
    rows = []
    end = 0
    for partition in flash.partition:
        if partition.offset > end:
            rows.append((end, partition.offset - end, "–", ""))
        mine = partition.name == image.partition.name
        used = f"{bar(image.used_bytes, int(partition.size))} {format_memory(image.used_bytes)} used" if mine else ""
        rows.append((partition.offset, int(partition.size), partition.name, used or partition.use))
        end = partition.offset + int(partition.size)
    names = max(len(name) for _, _, name, _ in rows)
    return [
        f"{flash.address + at:#010x}  {format_memory(size):>9}  {name:<{names}}  {what}".rstrip()
        for at, size, name, what in rows
    ]


def memory_map(budget: Budget) -> list[str]:
    """One line for each thing that takes memory in a run, and the sum."""
    whole = max(budget.available or 0, budget.needed, 1)
    names = max((len(part.name) for part in budget.parts), default=0)
    names = max(names, len("together"))
    rows = [
        f"{part.name:<{names}}  {format_memory(part.size):>9}  {bar(part.size, whole)}  {part.note}".rstrip()
        for part in budget.parts
    ]
    of = f" of {format_memory(budget.available)}" if budget.available is not None else ""
    rows.append(f"{'together':<{names}}  {format_memory(budget.needed):>9}  {bar(budget.needed, whole)} {of}".rstrip())
    return rows


def bar(part: int, whole: int) -> str:
    """A bar: at least one block for what is there at all."""
    filled = min(WIDTH, max(1 if part else 0, round(WIDTH * part / max(1, whole))))
    return FULL * filled + EMPTY * (WIDTH - filled)
