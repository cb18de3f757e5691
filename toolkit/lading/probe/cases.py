"""The cases that probe and conformance suite are made of: what is called, and what is asked by it.

A case is a prologue and items. Items of one case share a guest while each comes back; after one that ends the guest
(a trap, a crash), a fresh guest does the prologue again and goes on with the next. ``share`` says how many may do so:
loads use up slots on some hosts, and some questions want a fresh process. ``unsafe`` marks what is known, or suspected,
to crash some host: those are only tried when the user allows it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lading.probe.script import Program, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

Part = Callable[[Script], None]


@dataclass(frozen=True)
class Item:
    """One question."""

    id: str
    about: str
    part: Part
    unsafe: bool = False


@dataclass(frozen=True)
class Case:
    """Questions that begin in the same way."""

    id: str
    about: str
    prologue: Part
    items: tuple[Item, ...]
    group: str
    share: int = 1000
    """How many items may share a guest, for as long as each of them comes back."""
    unsafe: bool = False
    module: str = "wasi_ephemeral_nn"
    names: bool = False
    """Wants a model that the host knows by name."""
    base: Program = Program()  # noqa: RUF009  (frozen, and nothing else)
    """What the guest is beside its calls."""

    def program(self, items: Sequence[Item]) -> Program:
        """The guest for some of the items, in that order."""
        script = Script(self.module)
        self.prologue(script)
        for number, item in enumerate(items):
            script.item = number
            item.part(script)
        made = script.program()
        return replace(
            self.base,
            module=self.module,
            calls=made.calls,
            pieces=made.pieces,
            imports=(*self.base.imports, *made.imports),
        )

    def wanted(self, *, unsafe: bool) -> tuple[Item, ...]:
        """The items that are tried."""
        return tuple(i for i in self.items if unsafe or not (self.unsafe or i.unsafe))


def nothing(_script: Script) -> None:
    """No calls at all."""


WITX: Final = "wasi_ephemeral_nn"
LEGACY: Final = "wasi_nn"


def single(
    id_: str, about: str, part: Part, *, group: str, module: str, unsafe: bool = False, base: Program | None = None
) -> Case:
    """A case of one item."""
    return Case(
        id=id_,
        about=about,
        prologue=nothing,
        items=(Item("-", about, part),),
        group=group,
        unsafe=unsafe,
        module=module,
        base=base or Program(),
    )
