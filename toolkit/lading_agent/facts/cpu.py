"""``/proc/cpuinfo``, in the forms of x86-64, 64-bit and 32-bit ARM, and RISC-V."""

from __future__ import annotations

import re
from typing import Any, Dict, List

from lading_agent.facts.text import number, pairs, word

MOST_FEATURES = 512

_PARTS = {
    ("0x41", "0xb76"): "ARM1176",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xc08"): "Cortex-A8",
    ("0x41", "0xc09"): "Cortex-A9",
    ("0x41", "0xc0f"): "Cortex-A15",
    ("0x41", "0xd01"): "Cortex-A32",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}
"""ARM's numbers of implementer and part."""


def parse_cpuinfo(text: str) -> Dict[str, Any]:
    """Processors.

    Returns:
        ``cores`` (logical ones), ``model``, ``features`` (sorted), ``hardware`` (the SoC, where it is named), ``isa``
        (RISC-V). Empty when the text is nothing of the kind.
    """
    processors = 0
    first: Dict[str, str] = {}
    common: List[set[str]] = []
    for key, value in pairs(text):
        name = key.lower()
        if name == "processor" and number(value) is not None:
            processors += 1
        first.setdefault(name, value)
        if name in ("flags", "features"):
            common.append(set(value.split()[:MOST_FEATURES]))
        elif name == "isa":
            common.append(set(_isa_extensions(value)))
    if not first or not (processors or common):
        return {}
    found: Dict[str, Any] = {
        "cores": processors or 1,
        "model": _model(first),
        # Big and little cores may differ: what all of them have is what a program can use.
        "features": sorted(word(f) for f in set.intersection(*common)) if common else [],
    }
    if "isa" in first:
        found["isa"] = word(first["isa"])
    if first.get("hardware"):
        found["hardware"] = word(first["hardware"])
    return found


def _model(first: Dict[str, str]) -> str:
    part = _PARTS.get((first.get("cpu implementer", "").lower(), first.get("cpu part", "").lower()))
    return part or word(first.get("model name") or first.get("uarch") or first.get("cpu part", ""))


def _isa_extensions(isa: str) -> List[str]:
    """``rv64imafdc_zicsr_zba`` → i, m, a, f, d, c, zicsr, zba."""
    head, *rest = isa.lower().split("_")[:MOST_FEATURES]
    match = re.match(r"rv(?:32|64|128)([a-z]{0,32})", head)
    letters = match.group(1) if match else ""
    base, z, tail = letters.partition("z")
    return [*base, *([z + tail] if z else []), *(r for r in rest if r)]
