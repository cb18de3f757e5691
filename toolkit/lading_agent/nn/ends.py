"""How a run ends before the guest returns: exceptions that pass through the wasm engine to the runner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class End:
    """The fields of an ``end`` event."""

    outcome: str
    status: int
    kind: str
    message: str = ""
    remedy: str = ""


class RunEnds(Exception):
    """The run is over."""

    def __init__(self, end: End) -> None:
        super().__init__(end.message)
        self.end = end


class GuestExit(Exception):
    """The guest called ``proc_exit``."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit {code}")
        self.code = code
