"""Verdicts: what is foretold for one guest on one firmware profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Word = Literal["ok", "fails", "unknown"]
Outcome = Literal["errno", "trap", "host-crash", "link-error", "not-loadable"]
KnownBy = Literal["measured", "declared", "inferred"]


@dataclass(frozen=True)
class At:
    """A call of the guest. ``step`` is its place among all its wasi-nn calls; the first is 1."""

    step: int
    call: str

    def __str__(self) -> str:
        return f"{self.call} (call {self.step})"


@dataclass(frozen=True)
class Errno:
    """An errno as the firmware numbers it."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} ({self.number})"


@dataclass(frozen=True)
class Verdict:
    """The first call that differs from success, or that there is none."""

    verdict: Word
    profile: str
    known_by: KnownBy
    at: At | Literal["instantiate"] | None = None
    outcome: Outcome | None = None
    errno: Errno | None = None
    reason: str = ""
    remedy: str = ""
    target: str | None = None
    """The target whose memory was looked at as well."""
    handled: bool = False
    """The guest got the very same answer in its trace and went on to its end, and so it would here."""
    warnings: tuple[str, ...] = field(default=())
    """What does not stop the guest, but gives other data than it may expect."""

    def to_json(self) -> dict[str, Any]:
        """The verdict with stable keys."""
        at: Any = self.at
        if isinstance(self.at, At):
            at = {"step": self.at.step, "call": self.at.call}
        return {
            "verdict": self.verdict,
            "profile": self.profile,
            "target": self.target,
            "at": at,
            "outcome": self.outcome,
            "errno": None if self.errno is None else {"name": self.errno.name, "number": self.errno.number},
            "reason": self.reason,
            "remedy": self.remedy,
            "known_by": self.known_by,
            "handled": self.handled,
            "warnings": list(self.warnings),
        }

    @property
    def where(self) -> str:
        """``set_input (call 3)``, ``instantiate``, or nothing."""
        return str(self.at) if self.at is not None else ""

    @property
    def answer(self) -> str:
        """``invalid_argument (1)``, ``trap``, or nothing."""
        return str(self.errno) if self.errno is not None else (self.outcome or "")

    def sentence(self) -> str:
        """The verdict in one line."""
        if self.verdict == "ok":
            return f"ok on {self.profile}"
        said = f"{self.where}: {self.answer}: " if self.where else ""
        return f"{self.verdict} on {self.profile}: {said}{self.reason}"
