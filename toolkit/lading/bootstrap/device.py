"""The device file: which target a board is, from what it says of itself, and which firmware profile it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.bootstrap.look import Look
    from lading.targets.load import Target

_MIB: Final = 1024 * 1024


def device_document(look: Look, profile: Mapping[str, Any], project_dir: Path | None = None) -> dict[str, Any]:
    """The document for the agent.

    Args:
        look: what was seen of the device.
        profile: the resolved firmware profile.
        project_dir: the project whose targets count as well.
    """
    return {"target": target_of(look, project_dir), "profile": dict(profile), "emulated": False}


def target_of(look: Look, project_dir: Path | None = None) -> dict[str, Any]:
    """The resolved target: a known one where the board's name says so, with what was measured in place of what its file
    says; else one made of what was measured alone."""
    from lading import targets

    board = str(look.facts.get("board") or "")
    measured = (look.facts.get("memory") or {}).get("total_bytes")
    memory = measured if isinstance(measured, int) and measured > 0 else None
    found = match_target(board, look.architecture, targets.all_targets(project_dir))
    if found is not None:
        doc = found.resolved()
    else:
        doc = {
            "schema": 1,
            "name": board or f"Linux on {look.architecture or 'an unknown processor'}",
            "summary": "Known by what it says of itself.",
            "kind": "linux",
            "architecture": look.architecture,
            "memory_bytes": None,
            "profiles": [],
        }
    if memory is not None:
        doc["memory_bytes"] = memory
        doc["run_memory_bytes"] = _run_memory(memory, found)
    # What its file system has left counts, not what a kind of board is sold with.
    doc["storage_bytes"] = None
    return doc


def match_target(board: str, architecture: str, known: list[Target]) -> Target | None:
    """The target that a board's name begins with; the longest, so that a "3 Model B+" is not a "3 Model B".

    A target that says nothing of its memory stands for every other machine of its architecture.
    """
    linux = [t for t in known if t.table.kind == "linux" and t.architecture == architecture]
    name = _plain(board)
    named = [t for t in linux if name and f"{name} ".startswith(f"{_plain(t.title)} ")]
    if named:
        return max(named, key=lambda t: len(t.title))
    generic = [t for t in linux if t.memory_bytes is None]
    return generic[0] if len(generic) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("+", " plus").split())


def _run_memory(memory: int, target: Target | None) -> int:
    """What one run may use, by the rule of :func:`lading.targets.load.run_memory` with the measured memory."""
    from lading.targets.load import LINUX_RESERVE

    if target is not None and target.table.memory.run is not None:
        return min(target.table.memory.run, memory)
    return memory - min(max(memory // 4, LINUX_RESERVE), memory // 2)
