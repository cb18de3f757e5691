"""Command lines as data: words with ``{places}`` that are filled in.

A word that is nothing but a place for a list (``"{directories}"``) becomes that list's words, or none at all. Nothing
is ever given to a shell.
"""

from __future__ import annotations

import re
from typing import Final, List, Mapping, Sequence

_PLACE: Final = re.compile(r"\{([a-z-]+)\}")


def fill(
    words: Sequence[str], values: Mapping[str, str], lists: Mapping[str, Sequence[str]] | None = None
) -> List[str]:
    """The command line.

    Args:
        words: the template. Places that neither ``values`` nor ``lists`` has stay as they are.
        values: what stands for a place, alone or within a word. What is filled in is not looked at again.
        lists: words that stand for a place which is a word of its own.
    """
    filled: List[str] = []
    for word in words:
        alone = _PLACE.fullmatch(word)
        if alone is not None and lists is not None and alone.group(1) in lists:
            filled += lists[alone.group(1)]
        else:
            filled.append(_PLACE.sub(lambda found: values.get(found.group(1), found.group(0)), word))
    return filled


def places(words: Sequence[str]) -> List[str]:
    """The names of all places in a template."""
    return [name for word in words for name in _PLACE.findall(word)]
