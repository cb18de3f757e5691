"""Reading text that a console gave: never believed, always bounded."""

from __future__ import annotations

import re
from typing import Iterator, Optional, Tuple

MOST_CHARACTERS = 256 * 1024
"""Of one source, no more is looked at."""
MOST_LINES = 4096
MOST_WORD = 200

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]{0,16}[A-Za-z]|[@-Z\\-_])")


def lines(text: str) -> Iterator[str]:
    """Lines without terminal escapes, carriage returns and spaces at their ends; empty ones are left out."""
    shown = _ESCAPES.sub("", text[:MOST_CHARACTERS]).replace("\0", "\n").replace("\r", "\n")
    for count, line in enumerate(shown.split("\n")):
        if count >= MOST_LINES:
            return
        line = line.strip()
        if line:
            yield line


def word(text: str) -> str:
    """A value fit to be shown: printable, on one line, at most 200 characters."""
    return "".join(c for c in text.strip()[:MOST_WORD] if c.isprintable())


def pairs(text: str, separator: str = ":") -> Iterator[Tuple[str, str]]:
    """``key : value`` lines."""
    for line in lines(text):
        key, found, value = line.partition(separator)
        if found:
            yield key.strip(), value.strip()


def number(text: str) -> Optional[int]:
    """A decimal number of a size that can be meant; None for anything else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 19 else None


def version_in(text: str) -> str:
    """The first thing in a text that looks like a version: ``1.2``, ``0.14.1-rc.1``; empty without one."""
    found = re.search(r"(?<![\w.])v?(\d{1,6}(?:\.\d{1,6}){1,3}(?:[-+][0-9A-Za-z.+-]{1,40})?)", text[:4096])
    return found.group(1).rstrip(".+-") if found else ""
