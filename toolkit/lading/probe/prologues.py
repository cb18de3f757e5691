"""What the cases share: the values that are tried, and what a guest does before its first item."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from lading.probe.cases import Case, Item
from lading.probe.models import model
from lading.probe.script import Ref, Script

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES: Final = ("f32", "f16", "f64", "u8", "i8", "i16", "i32", "i64", "bool", "qu8", "qi8")
"""Types of the echo models; ``qu8`` and ``qi8`` are quantized."""
WIDTH: Final = {"f32": 4, "f16": 2, "f64": 8, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "bool": 1}
WIDTH_OF: Final = {**WIDTH, "qu8": 1, "qi8": 1}
CODES: Final = tuple(range(9))
"""Tensor type codes that are tried."""
ENCODINGS: Final = (*range(10), 10, 260, 0xFFFFFFFF)
TARGETS: Final = (0, 1, 2, 3, 4, 0xFFFFFFFF)
SOME: Final = 4
"""How many loads one guest may try: no known host runs out of slots so early."""
MANY: Final = 70
"""How many graphs and contexts are asked for: more than any known host gives."""
NAME: Final = "lading-probe"
"""The name under which a host that can be told knows the echo model."""
FLOATS: Final = struct.pack("<4f", 1.0, 2.0, 3.0, 4.0)
AMPLE: Final = 64
"""Bytes of room for an output of 16."""
GARBAGE: Final = b"this is no model at all, whatever it is loaded as" * 2


def ignore(*_handles: Ref) -> None:
    """A handle that nobody asks for."""


class Loaded:
    """A prologue that loads an echo model and makes a context; items read the handles here."""

    def __init__(self, name: str = "echo_f32") -> None:
        self.name = name
        self.graph = Ref(0)
        self.context = Ref(0)

    def __call__(self, script: Script) -> None:
        """Write it into a guest's script."""
        self.graph = script.load(model(self.name), note=self.name)
        self.context = script.init(self.graph)


class Filled(Loaded):
    """The same, with an input set and computed."""

    def __call__(self, script: Script) -> None:
        """Write it into a guest's script."""
        super().__call__(script)
        script.set_input(self.context, 1, FLOATS)
        script.compute(self.context)


def session_case(
    id_: str,
    about: str,
    items: Callable[[Loaded], list[Item]],
    *,
    group: str,
    module: str,
    start: Loaded | None = None,
    unsafe: bool = False,
    share: int = 1000,
) -> Case:
    """A case whose items share a prologue (``start``, or a context of the f32 echo model) and look at its handles."""
    begin = start or Loaded()
    return Case(id_, about, begin, tuple(items(begin)), group, share, unsafe, module)
