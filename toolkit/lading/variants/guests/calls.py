"""The adapter of each wasi-nn function: what the guest says, decoded by its own ABI, said to the host in that one's.

Records that lie in guest memory are changed in place for the time of the call and put back byte by byte: nothing but
the host runs in between. A host's record that is larger than the guest's is laid into a place that the call does not
speak of, and what was there is put back in the same way.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable
from lading.variants.guests import numbers
from lading.variants.guests.assemble import Function
from lading.variants.guests.helpers import place_of
from lading.variants.guests.inputs import Inputs
from lading.variants.guests.models import same_text
from lading.variants.guests.outputs import Outputs
from lading.variants.guests.room import CONTEXTS, GRAPHS
from lading.variants.guests.speech import WITX
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping


_WIDTHS: Final[Mapping[str, int]] = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "u8": 1, "i32": 4, "i64": 8}

_DONE: Final = frozenset(("unload", "finalize_execution_context"))
"""What a host without them does by keeping everything: the guest is told that it worked."""

_STAND_INS: Final[Mapping[str, str]] = {
    "load_by_name_with_config": "load_by_name",
    "load_by_name": "load_by_name_with_config",
}
"""Which function does what a host lacks; a configuration means nothing to TFLite."""


_WITH_HANDLES: Final = frozenset((*_STAND_INS, "load", "init_execution_context"))

BY_NAME: Final = frozenset(_STAND_INS)


class Calls(Inputs, Outputs):
    """Writes adapters for one plan."""

    def helper(self, name: str) -> Function | None:
        """A function that adapters of this plan call, by its name; None for one that is not of the plan."""
        plan, guest, host = self.plan, self.guest, self.host
        if name in self._inner:
            return self._inner[name]
        if name == "adapter.errno":
            return numbers.errno_function(name, host, guest)
        if name == "adapter.encoding":
            return numbers.enum_function(name, guest.encodings, host.encodings, plan.encodings)
        if name == "adapter.target":
            return numbers.enum_function(name, guest.targets, host.targets, plan.targets)
        if name == "adapter.type":
            known = host.tensor_types.numbers.get("f32") if guest.ignores_types else None
            return numbers.enum_function(name, guest.tensor_types, host.tensor_types, {}, known)
        if name == "adapter.width":
            table = {number: _WIDTHS.get(kind, 4) for kind, number in guest.tensor_types.numbers.items()}
            return numbers.lookup(name, table, 4)
        return None

    def adapter(self, function: str) -> Function | None:
        """The adapter of a function; None when the host's own can be called as it is.

        Raises:
            NotAdaptable: nothing on that host does what the function does.
        """
        self._notes, self._kinds = [], []
        params = tuple((name, "i32") for name in PARAMETERS[self.guest.layout][function])
        name = f"adapter.{function}"
        text = self._text(function)
        if self.models and function in _WITH_HANDLES:
            text = self._noted(function, text, params)
        return None if text is None else Function(name, params, ("i32",), text, _locals(text, params))

    def _noted(self, function: str, text: str | None, params: tuple[tuple[str, str], ...]) -> str:
        """The same, and in the end the model of the new handle is remembered."""
        given = " ".join(f"local.get {name}" for name, _ in params)
        inner = f"adapter.{function}-inner"
        text = text or f"{given} call host.{function}"
        self._inner[inner] = Function(inner, params, ("i32",), text, _locals(text, params))
        self._notes.append("remembers which model it is")
        graphs, contexts = (place_of(self.room.pages, at) for at in (GRAPHS, CONTEXTS))
        if function == "init_execution_context":
            note = f"{contexts} local.get context-out i32.load 0 {graphs} local.get graph call adapter.known"
        else:
            note = f"{graphs} local.get graph-out i32.load 0 {self._which(function)}"
        return f"""{given} call {inner} local.tee $e i32.eqz if {note} call adapter.note end local.get $e"""

    def _which(self, function: str) -> str:
        """Code for the number of the model that a call loads."""
        text = "i32.const 0"
        for model, number in self.models.items():
            known = self.plan.known[model]
            if function != "load":
                tests = [same_text("name", "name-length", name) for name in sorted(known.names)]
            elif known.size is None:
                continue
            else:
                first = "local.get builders" if self.guest.layout == WITX else "local.get builder-array i32.load 0"
                tests = [f"{first} i32.load 4 i32.const {known.size} i32.eq"]
            for test in tests:
                text = f"i32.const {number} {text} {test} select"
        return text

    def _text(self, function: str) -> str | None:
        if function in _DONE and self._idle(function):
            self._notes.append(f"{function} does nothing: {self.host.name} keeps what is let go")
            return "i32.const 0"
        if function in BY_NAME and self.room.models:
            return self._embedded()
        if function not in self.host.functions:
            return self._missing(function)
        if function == "load":
            return self._load()
        if function == "set_input":
            return self._set_input()
        if function in {"get_output", "get_output_single"}:
            return self._get_output(function)
        return self._same(function)

    def _idle(self, function: str) -> bool:
        return function not in self.host.functions or (
            function in self.host.refused and function not in self.guest.refused
        )

    def _missing(self, function: str) -> str:
        host = self.host
        other = _STAND_INS.get(function)
        if other in host.functions:
            self._notes.append(f"{function} is done by {other}")
            if other == "load_by_name":
                return f"local.get name local.get name-length local.get graph-out call host.{other} {self.errno}"
            return f"""local.get name local.get name-length local.get name i32.const 0 local.get graph-out
              call host.{other} {self.errno}"""
        if function in self.plan.uncalled:
            self._notes.append(f"{function}, which the guest imports and does not call, fails")
            return f"i32.const {numbers.errno(self.guest, 'unsupported_operation')}"
        raise NotAdaptable(
            f"the guest imports {function}, which {host.name} does not have, and nothing there does the same",
            remedy="make the models part of the guest (lading adapt --embed NAME=FILE), or load them from bytes"
            if function.startswith("load")
            else "use the functions that every host has: load, init_execution_context, set_input, compute, get_output",
            details={"function": function},
        )

    def _embedded(self) -> str:
        """Load a model that is part of the guest, by its name."""
        host, room = self.host, self.room
        self._notes.append("loads models that are part of the guest")
        parts = []
        for name, (at, size) in room.models.items():
            first = f"{room.record} i32.const 1" if host.layout == WITX else f"{room.array}"
            parts.append(f"""{same_text("name", "name-length", name)} if
                {room.record} {place_of(room.pages, at)} i32.store 0
                {room.record} i32.const {size} i32.store 4
                {room.array} {room.record} i32.store 0 {room.array} i32.const 1 i32.store 4
                {first} i32.const {self._theirs("encodings", "tensorflowlite")}
                i32.const {self._theirs("targets", "cpu")} local.get graph-out call host.load {self.errno} return
              end""")
        inside = f"""local.get name local.get name-length call adapter.inside i32.eqz if
            {self._fail(self.guest.bad_pointer)} end"""
        return f"""{inside} {" ".join(parts)} i32.const {numbers.errno(self.guest, "not_found")}"""

    def _load(self) -> str | None:
        plan, guest, host = self.plan, self.guest, self.host
        codes = ""
        for what, mine, theirs, renamed, bad in (
            ("encoding", guest.encodings, host.encodings, plan.encodings, "invalid_encoding"),
            ("target", guest.targets, host.targets, plan.targets, "invalid_argument"),
        ):
            if numbers.same_enum(mine, theirs, renamed):
                continue
            self._kinds.append(f"{what}s")
            codes += f" local.get {what} call adapter.{what} local.set {what} "
            if theirs.deadly:
                codes += f"local.get {what} i32.const {numbers.REFUSED} i32.eq if {self._fail(bad)} end "
        rest = "local.get encoding local.get target local.get graph-out call host.load"
        if guest.layout == host.layout:
            if not codes:
                return self._same("load")
            first = "builders builder-count" if guest.layout == WITX else "builder-array"
            return codes + " ".join(f"local.get {p}" for p in first.split()) + f" {rest} {self.errno}"
        self._kinds.append("layout")
        if guest.layout != WITX:
            return (
                f"""{codes} local.get builder-array i32.load 0 local.get builder-array i32.load 4 {rest} {self.errno}"""
            )
        return f"""{codes}
          local.get builder-count if
            local.get builders i32.load 0 local.set $model local.get builders i32.load 4 local.set $model-size
          end
          i32.const 8
          local.get builders local.get builder-count i32.const 3 i32.shl
          local.get $model local.get $model-size
          local.get graph-out i32.const 4
          i32.const 0 i32.const 0 call adapter.room local.tee $record
          i32.const -1 i32.eq if {self._fail("invalid_argument")} end
          local.get $record i64.load 0 local.set $kept
          local.get $record local.get builders i32.store 0
          local.get $record local.get builder-count i32.store 4
          local.get $record {rest} local.set $e
          local.get $record local.get $kept i64.store 0
          local.get $e {self.errno}"""


def _locals(text: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The locals that a text uses, in the order of their first use."""
    words = text.split()
    used = [word for before, word in pairwise(words) if before.startswith("local.")]
    own = dict.fromkeys(name for name in used if (name, "i32") not in params)
    return tuple((name, "i64" if name in {"$kept", "$kept2"} else "i32") for name in own)
