"""Small JSON files of one process: a reader sees the old one or the new one."""

from __future__ import annotations

import contextlib
import json
import math
import os
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple, Type

from lading_agent.store.durable import replace_json

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
MAX_BYTES = 1024 * 1024
MOST = 2**63
Kinds = Mapping[str, Tuple[Type[Any], ...]]


def write(path: Path, doc: Mapping[str, Any]) -> None:
    """Replace a file, durably.

    Its scratch lies beside it and not in staging, which a sweep may clean at any moment.
    """
    replace_json(path, {"schema": SCHEMA, **doc}, path.with_name(f".{path.name}.{os.getpid()}"))


def read(path: Path) -> Optional[Dict[str, Any]]:
    """A file's document; None where there is none, or none that can be read."""
    try:
        with path.open("rb") as file:
            doc = json.loads(file.read(MAX_BYTES), parse_float=_float, parse_int=_int, parse_constant=_float)
    except (OSError, ValueError, RecursionError):
        return None
    return doc if isinstance(doc, dict) and doc.get("schema") == SCHEMA else None


def suits(doc: Mapping[str, Any], kinds: Kinds) -> bool:
    """Whether the members that are there are of the kinds that they should be. Files may have been damaged."""
    return all(isinstance(doc[name], kind) for name, kind in kinds.items() if name in doc)


def _float(text: str) -> float:
    """A number with which the rest can be counted: neither infinite nor none at all."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _int(text: str) -> int:
    number = int(text)
    if abs(number) >= MOST:
        raise ValueError(text[:40])
    return number


def remove(path: Path) -> None:
    """Take a file away, if it is there."""
    from lading_agent.store.durable import sync_dir

    with contextlib.suppress(FileNotFoundError):
        path.unlink()
        sync_dir(path.parent)
