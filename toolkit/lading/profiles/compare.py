"""Two firmware profiles side by side: every value that differs, by its key."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lading.profiles.schema import FirmwareProfile

NOT_BEHAVIOUR = ("id", "title", "summary", "extends", "schema", "provenance", "command")
"""What two profiles always say differently."""


@dataclass(frozen=True)
class Difference:
    """One value that is not the same; ``None`` where a profile does not have it."""

    key: str
    left: Any
    right: Any


def differences(left: FirmwareProfile, right: FirmwareProfile) -> list[Difference]:
    """What the firmware of one profile does otherwise than that of the other, by key.

    Functions are compared step by step: ``functions.load[3]`` is the fourth thing that ``load`` does (on the
    right where the left one does not do it).
    """
    return sorted(_between("", _behaviour(left), _behaviour(right)), key=lambda d: _order(d.key))


def _behaviour(profile: FirmwareProfile) -> dict[str, Any]:
    return {k: v for k, v in profile.resolved().items() if k not in NOT_BEHAVIOUR}


def _between(key: str, left: Any, right: Any) -> Iterator[Difference]:
    if left == right:
        return
    if _is_rows(left) or _is_rows(right):
        yield from _rows(key, [row(r) for r in left or ()], [row(r) for r in right or ()])
    elif isinstance(left, dict) or isinstance(right, dict):
        a, b = left or {}, right or {}
        for name in [*a, *(n for n in b if n not in a)]:
            yield from _between(f"{key}.{name}" if key else name, a.get(name), b.get(name))
    else:
        yield Difference(key, _text(left), _text(right))


def _rows(key: str, left: list[str], right: list[str]) -> Iterator[Difference]:
    for what, i, i_end, j, j_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if what != "equal":
            for n, (a, b) in enumerate(zip_longest(left[i:i_end], right[j:j_end])):
                yield Difference(f"{key}[{i + n if a is not None else j + n}]", a, b)


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and _is_row(item) for item in value)


def _text(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def _is_row(value: Mapping[str, Any]) -> bool:
    """A step, a tensor rule or a known crash: it reads as one line."""
    return bool(value.keys() & {"step", "how", "situation"})


def row(value: Mapping[str, Any]) -> str:
    """A step, a tensor rule or a known crash as one line: ``graph, fail = invalid_argument``."""
    name = next(k for k in ("step", "how", "situation") if k in value)
    pairs = [f"{k.replace('_', '-')} = {v if isinstance(v, str) else json.dumps(v)}" for k, v in value.items()]
    return ", ".join(
        [str(value[name]), *(p for k, p in zip(value, pairs, strict=True) if k != name and value[k] != "")]
    )


def _order(key: str) -> tuple[tuple[int, str], ...]:
    """Places in a list in the order of their numbers."""
    return tuple((int(part) if part.isdecimal() else 0, part) for part in re.split(r"[.\[\]]+", key))
