"""What the parameters of a firmware profile's steps may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lading import names
from lading.datafiles import invalid
from lading_agent.nn.rules_load import LENGTHS, PIECES
from lading_agent.nn.rules_run import UNITS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.profiles.schema import Abi

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "readable": ("what",),
    "mark": ("flag",),
    "needs-mark": ("flag",),
    "encoding-is": ("names",),
    "type-code": ("names",),
    "text-ends": ("what", "at"),
    "tensors": ("dimensions",),
    "graph-in-place": ("every",),
    "context-in-place": ("every",),
}
"""Parameters that a step cannot do without, beside ``fail``."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "what": tuple(PIECES),
    "at": ("nul", "length"),
    "named-by": ("nul", "length"),
    "trust": ("identifier",),
    "match": ("exact", "count"),
    "by": ("compute", "step"),
    "write": ("needed",),
    "unit": tuple(UNITS),
}
"""Parameters that are one word of several, the same in each step."""

TEXTS = ("flag", "given", "reason")
NUMBERS = ("count", "dimensions", "every")
FLAGS = ("usable",)
MOST = 0xFFFFFFFF


def check_params(where: str, key: str, step: Mapping[str, Any], abi: Abi, outcomes: set[str]) -> None:
    """Look at the values of one step's parameters.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    name = step["step"]
    for param in REQUIRED.get(name, ()):
        if param not in step:
            raise invalid(where, key, f"the step {name} has no '{param}'", remedy=f"add {param} = …")
    for param, value in step.items():
        at = f"{key}.{param}"
        if param in WORDS:
            _word(where, at, value, WORDS[param])
        elif param == "length":
            if not _whole(value):
                _word(where, at, value, tuple(LENGTHS), "or a number of bytes")
        elif param == "wild":
            _word(where, at, value, tuple(sorted(outcomes)))
        elif param == "names":
            _names(where, at, value, abi.encodings if name == "encoding-is" else abi.tensor_types)
        elif param in NUMBERS:
            if not _whole(value):
                raise invalid(where, at, f"{value!r} is no number", remedy="write a whole number from 0 on")
        elif param in FLAGS:
            if not isinstance(value, bool):
                raise invalid(where, at, f"{value!r} is not true or false", remedy="write true or false")
        elif param in TEXTS and not (isinstance(value, str) and value):
            raise invalid(where, at, f"{value!r} is no text", remedy="write some words in quotation marks")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST


def _word(where: str, at: str, value: object, known: tuple[str, ...], besides: str = "") -> None:
    if value not in known:
        near = names.near(str(value), known)
        hint = f"did you mean '{near[0]}'? " if near else ""
        others = f" {besides}" if besides else ""
        raise invalid(where, at, f"{value!r} is not known", remedy=f"{hint}known: {', '.join(known)}{others}")


def _names(where: str, at: str, value: object, known: Mapping[str, int]) -> None:
    if not isinstance(value, list) or not value:
        raise invalid(where, at, f"{value!r} is no list of names", remedy="write a list of names in [abi]")
    for i, name in enumerate(value):
        _word(where, f"{at}[{i}]", name, tuple(known))
