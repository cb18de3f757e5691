"""``lading targets``: kinds of boards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lading.cli.answer import Answer, verb
from lading.cli.options import Json
from lading.cli.screen import Screen
from lading.units import format_memory, format_size

LIST_EPILOG = "Example:  lading targets list"
SHOW_EPILOG = "Example:  lading targets show raspberry-pi-4b"


@verb("targets-list")
def list_(as_json: Json = False) -> Answer:
    """List the targets that can be found: the project's own, the user's, the shipped ones."""
    from lading import targets

    found = targets.all_targets(Path.cwd(), skipped=Screen(as_json=as_json).skipped)

    def render(screen: Screen) -> None:
        rows = [
            [
                t.id,
                t.title,
                t.architecture,
                _memory(t.memory_bytes),
                t.profiles[0] + (f" and {len(t.profiles) - 1} more" if len(t.profiles) > 1 else ""),
            ]
            for t in found
        ]
        screen.table(["target", "board", "architecture", "memory", "firmware"], rows, right=["memory"])

    return Answer({"targets": [t.resolved() for t in found]}, render)


@verb("targets-show")
def show(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="An id, or a unique prefix of one.")],
    as_json: Json = False,
) -> Answer:
    """Show one target: processor, memory, storage, how it is reached, the firmware that it usually carries."""
    from lading import targets

    found = targets.find(target, Path.cwd())

    def render(screen: Screen) -> None:
        cpu = found.table.cpu
        screen.say(f"{found.id}: {found.title}", style="bold")
        screen.say(found.table.summary)
        clock = f" at {cpu.clock_mhz} MHz" if cpu.clock_mhz else ""
        rows = [
            ["processor", f"{cpu.soc or 'unknown'}, {cpu.cores} × {cpu.core or 'core'}{clock}"],
            ["architecture", found.architecture],
            ["features", ", ".join(cpu.features) or "–"],
            ["memory", _memory(found.memory_bytes)],
            ["memory for a run", _memory(found.run_memory_bytes)],
            ["storage", f"{found.table.storage.kind}, {_size(found.storage_bytes)}"],
            *(["accelerator", f"{a.kind}: {a.name}"] for a in found.table.accelerator),
            *(["reached by", _transport(t)] for t in found.resolved()["transports"]),
            ["firmware", ", ".join(found.profiles)],
            ["known by", found.table.provenance.known_by],
            ["from", found.origin],
        ]
        screen.table(["", ""], rows)
        for source in found.table.provenance.sources:
            screen.say(f"  {source}", style="dim")

    return Answer({"target": found.resolved()}, render)


def _size(size: int | None) -> str:
    return format_size(size) if size is not None else "–"


def _memory(size: int | None) -> str:
    return format_memory(size) if size is not None else "–"


def _transport(transport: dict[str, object]) -> str:
    pairs = [f"{k} {v}" for k, v in transport.items() if k != "scheme" and v not in (None, False)]
    return ", ".join([str(transport["scheme"]), *pairs])
