"""Sizes as people write them: ``512MiB``, ``16 kB``, ``4096``."""

from __future__ import annotations

import re
from typing import Final

_FACTORS: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,6}))? ?([A-Za-z]{0,3})")


class Size(int):
    """A number of bytes that a data file gives as ``"512MiB"`` or as a plain number."""


def parse_size(text: str | int) -> Size:
    """Bytes from ``"512MiB"``, ``"1.5 GB"`` or a plain number.

    Raises:
        ValueError: not a size; the message says how sizes are written.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError(f"a size of {text} bytes: sizes are not negative")
        return Size(text)
    found = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[3].lower() not in _FACTORS:
        raise ValueError(f"{text!r} is not a size: write bytes as a number, or as in '512MiB', '16kB', '1.5GB'")
    factor = _FACTORS[found[3].lower()]
    fraction = found[2] or "0"
    scaled = int(found[1]) * factor * 10 ** len(fraction) + int(fraction) * factor
    whole, rest = divmod(scaled, 10 ** len(fraction))
    if rest:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return Size(whole)


def format_size(octets: float) -> str:
    """Bytes for people: ``12 B``, ``3.4 kB``, ``5.6 MB`` (powers of 1000, as disks and networks count)."""
    if octets < 1000:
        return f"{octets:.0f} B"
    for unit in ("kB", "MB", "GB"):
        octets /= 1000
        if octets < 1000 or unit == "GB":
            return f"{octets:.1f} {unit}"
    raise AssertionError


def format_memory(octets: float) -> str:
    """Memory for people: ``512 MiB``, ``1.5 GiB`` (powers of 1024, as memory is made)."""
    if octets < 1024:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= 1024
        if octets < 1024 or unit == "GiB":
            return f"{octets:.1f}".removesuffix(".0") + f" {unit}"
    raise AssertionError
