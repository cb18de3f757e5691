"""Memory and storage."""

from __future__ import annotations

from typing import Any, Dict, List

from lading_agent.facts.text import lines, number, pairs, word

_KEYS = {
    "MemTotal": "total_bytes",
    "MemAvailable": "available_bytes",
    "MemFree": "free_bytes",
    "SwapTotal": "swap_bytes",
}


def parse_meminfo(text: str) -> Dict[str, int]:
    """``/proc/meminfo``: ``total_bytes``, ``available_bytes``, ``free_bytes``, ``swap_bytes``, what it has."""
    found: Dict[str, int] = {}
    for key, value in pairs(text):
        name = _KEYS.get(key)
        words = value.split()
        if name is None or not words or name in found:
            continue
        amount = number(words[0])
        if amount is not None and (len(words) == 1 or words[1].lower() == "kb"):
            found[name] = amount * (1024 if len(words) > 1 else 1)
    return found


def parse_df(text: str) -> Dict[str, Any]:
    """``df -k`` of one folder: ``filesystem``, ``mounted``, ``total_bytes``, ``free_bytes``; a wrapped line as well."""
    words = _row(text)
    if not words:
        return {}
    total, free = number(words[1]), number(words[3])
    if total is None or free is None:
        return {}
    return {
        "filesystem": word(words[0]),
        "mounted": word(" ".join(words[5:])),
        "total_bytes": total * 1024,
        "free_bytes": free * 1024,
    }


def parse_df_inodes(text: str) -> Dict[str, int]:
    """``df -i`` of one folder: ``total_inodes``, ``free_inodes``; empty for a file system that has none to count."""
    words = _row(text)
    total, free = (number(words[1]), number(words[3])) if words else (None, None)
    return {"total_inodes": total, "free_inodes": free} if total and free is not None else {}


def _row(text: str) -> List[str]:
    """The one row under the heading: file system, total, used, free, percentage, mount point."""
    rows = list(lines(text))
    if len(rows) < 2 or not rows[0].lower().startswith("filesystem"):
        return []
    words = " ".join(rows[1:3]).split() if len(rows[1].split()) == 1 else rows[1].split()
    return words if len(words) >= 6 else []
