"""The adapter's own room in guest memory: pages at the end of it, of which the guest's own code does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lading.variants.guests.helpers import PAGE, place_of
from lading.variants.guests.models import TABLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Conversion

_ALIGNMENT: Final = 16
_RECORDS: Final = 16
GRAPHS: Final = _RECORDS
CONTEXTS: Final = GRAPHS + TABLE_BYTES
"""Where the tables of handles are, if there are any."""


@dataclass(frozen=True)
class Room:
    """What lies where, counted from the first of the adapter's own pages."""

    pages: int = 0
    data: int = 0
    """Where converted tensor data goes."""
    models: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """By name, where the bytes of an embedded model lie and how many there are."""
    segments: tuple[tuple[int, bytes], ...] = ()
    """What lies there from the start."""

    @property
    def record(self) -> str:
        """Code for the place of a builder record of 8 bytes."""
        return place_of(self.pages)

    @property
    def array(self) -> str:
        """Code for the place of a record that points to builders."""
        return place_of(self.pages, 8)


def lay_out(conversions: list[Conversion], models: Mapping[str, bytes], *, tables: bool) -> Room:
    """Room for the largest converted tensor and all models; equal models lie there once.

    Args:
        conversions: what is converted.
        models: what is embedded, by name.
        tables: which model a handle belongs to is remembered.
    """
    if not conversions and not models:
        return Room()
    data = CONTEXTS + TABLE_BYTES if tables else _RECORDS
    end = data + _aligned(max((c.scratch_bytes for c in conversions), default=0))
    places: dict[bytes, int] = {}
    for content in models.values():
        if content not in places:
            places[content] = end
            end += _aligned(len(content))
    return Room(
        pages=-(-end // PAGE),
        data=data,
        models={name: (places[content], len(content)) for name, content in models.items()},
        segments=tuple((at, content) for content, at in places.items()),
    )


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
