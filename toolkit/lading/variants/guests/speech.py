"""What the adapters of all functions share: errnos, numbers that have to be there, and what was done, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests import numbers
from lading.variants.guests.assemble import Function
from lading.variants.guests.helpers import place_of
from lading.variants.guests.room import CONTEXTS
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Conversion, Plan
    from lading.variants.guests.room import Room

WITX: Final = "witx"


class Speech:
    """One plan, and what adapters for it have in common."""

    def __init__(self, plan: Plan, room: Room, models: Mapping[str, int]) -> None:
        """Begin a plan.

        Args:
            plan: for whom the guest was made, and for whom it is to be.
            room: where the adapter's own things lie.
            models: numbers of the models that conversions are for; empty when they are for all.
        """
        self.plan = plan
        self.models = models
        self._inner = dict[str, Function]()
        self.room = room
        self.guest = plan.guest
        self.host = plan.host
        self.errno = "" if numbers.same_errno(plan.host, plan.guest) else "call adapter.errno"
        self.scratch = place_of(room.pages, room.data)
        self._notes: list[str] = []
        self._kinds: list[str] = []

    def told(self) -> str:
        """What the adapter that was written last does, in words."""
        kinds = [*self._kinds, *(["errnos"] if self.errno else [])]
        return "; ".join([*([f"{', '.join(kinds)} of {self.host.name}"] if kinds else []), *self._notes])

    def _meant(self, conversion: Conversion) -> str:
        """Code for whether a call is about the tensor of a conversion."""
        text = f"local.get index i32.const {conversion.index} i32.eq"
        if not conversion.model:
            return text
        model = f"{place_of(self.room.pages, CONTEXTS)} local.get context call adapter.known"
        return f"""{text} if {model} local.set $known else i32.const 0 local.set $known end
          local.get $known i32.const {self.models[conversion.model]} i32.eq"""

    def _same(self, function: str) -> str | None:
        """Only the errno is another number."""
        if not self.errno:
            return None
        given = " ".join(f"local.get {p}" for p in PARAMETERS[self.guest.layout][function])
        return f"{given} call host.{function} {self.errno}"

    def _fail(self, name: str) -> str:
        """End the call as the guest's own host would."""
        return "unreachable" if name == "trap" else f"i32.const {numbers.errno(self.guest, name)} return"

    def _theirs(self, kind: str, name: str) -> int:
        """The host's number for a name that there has to be."""
        numbers_of = {"tensor types": self.host.tensor_types, "encodings": self.host.encodings}
        found = numbers_of.get(kind, self.host.targets).numbers.get(name)
        if found is None:
            raise NotAdaptable(
                f"{self.host.name} has no {name} among its {kind}",
                remedy="correct the firmware profile, or choose another one",
            )
        return found
