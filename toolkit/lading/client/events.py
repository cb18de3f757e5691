"""What happens while a request goes on, as the client tells it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Started:
    """A run begins."""

    app: str
    release: str


@dataclass(frozen=True)
class Output:
    """Bytes of the guest's standard output or error, as they came."""

    stream: int
    """1: standard output, 2: standard error."""
    data: bytes


@dataclass(frozen=True)
class Log:
    """A line of the host's log."""

    level: str
    text: str


@dataclass(frozen=True)
class Tensor:
    """One output of one step of a streaming guest."""

    model: str
    output: str
    """The tensor's name."""
    index: int
    step: int
    dtype: str
    shape: tuple[int, ...]
    data: bytes
    """Raw little-endian bytes, C order."""


@dataclass(frozen=True)
class Metric:
    """Measurements: see ``lading_agent.runs.report``."""

    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Lost:
    """Octets of a log that had to make room before they were read."""

    octets: int


Event = Started | Output | Log | Tensor | Metric | Lost
"""What ``Session.run`` and ``Session.logs`` hand to ``on_event``."""
