"""Documents that verbs answer with."""

from __future__ import annotations

from typing import Any


def keys_of(value: Any, prefix: str = "") -> set[str]:
    """Every key of a document, with its path."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, below in value.items():
            found |= {f"{prefix}{key}"} | keys_of(below, f"{prefix}{key}.")
    elif isinstance(value, list):
        for below in value:
            found |= keys_of(below, f"{prefix[:-1]}[].")
    return found
