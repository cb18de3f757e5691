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
from lading.variants.guests.abi import TYPE_NAME, WIDTH
from lading.variants.guests.assemble import Function
from lading.variants.guests.helpers import place_of
from lading_agent.nn.decode import PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Conversion, Plan
    from lading.variants.guests.room import Room

WITX: Final = "witx"

_WIDTHS: Final[Mapping[str, int]] = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8, "u8": 1, "i32": 4, "i64": 8}

_DONE: Final = frozenset(("unload", "finalize_execution_context"))
"""What a host without them does by keeping everything: the guest is told that it worked."""

_STAND_INS: Final[Mapping[str, str]] = {
    "load_by_name_with_config": "load_by_name",
    "load_by_name": "load_by_name_with_config",
}
"""Which function does what a host lacks; a configuration means nothing to TFLite."""


BY_NAME: Final = frozenset(_STAND_INS)


class Calls:
    """Writes adapters for one plan."""

    def __init__(self, plan: Plan, room: Room) -> None:
        self.plan = plan
        self.room = room
        self.guest = plan.guest
        self.host = plan.host
        self.errno = "" if numbers.same_errno(plan.host, plan.guest) else "call adapter.errno"
        self.scratch = place_of(room.pages, room.data)
        self._notes: list[str] = []
        self._kinds: list[str] = []

    def helper(self, name: str) -> Function | None:
        """A function that adapters of this plan call, by its name; None for one that is not of the plan."""
        plan, guest, host = self.plan, self.guest, self.host
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
        return None if text is None else Function(name, params, ("i32",), text, _locals(text, params))

    def told(self) -> str:
        """What the adapter that was written last does, in words."""
        kinds = [*self._kinds, *(["errnos"] if self.errno else [])]
        return "; ".join([*([f"{', '.join(kinds)} of {self.host.name}"] if kinds else []), *self._notes])

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
            remedy="load the model from bytes instead of by its name"
            if function.startswith("load")
            else "use the functions that every host has: load, init_execution_context, set_input, compute, get_output",
            details={"function": function},
        )

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

    # load

    def _embedded(self) -> str:
        """Load a model that is part of the guest, by its name."""
        host, room = self.host, self.room
        self._notes.append("loads models that are part of the guest")
        parts = []
        for name, (at, size) in room.models.items():
            text = name.encode()
            same = "".join(
                f" local.get name i32.load8_u {i} i32.const {byte} i32.eq i32.and" for i, byte in enumerate(text)
            )
            first = f"{room.record} i32.const 1" if host.layout == WITX else f"{room.array}"
            parts.append(f"""local.get name-length i32.const {len(text)} i32.eq if
                i32.const 1 {same} if
                  {room.record} {place_of(room.pages, at)} i32.store 0
                  {room.record} i32.const {size} i32.store 4
                  {room.array} {room.record} i32.store 0 {room.array} i32.const 1 i32.store 4
                  {first} i32.const {self._theirs("encodings", "tensorflowlite")}
                  i32.const {self._theirs("targets", "cpu")} local.get graph-out call host.load {self.errno} return
                end
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

    # set_input

    def _set_input(self) -> str | None:
        guest, host = self.guest, self.host
        conversions = [c for c in self.plan.tensors if c.direction == "input"]
        same_types = numbers.same_enum(guest.tensor_types, host.tensor_types, {})
        floats = guest.layout != WITX and guest.ignores_types
        alike = guest.layout == host.layout and not conversions
        if alike and (host.ignores_types or (same_types and not floats)):
            return self._same("set_input")
        self._kinds += [] if same_types and not floats else ["tensor types"]
        self._kinds += [] if guest.layout == host.layout else ["layout"]
        decoded = self._witx_input() if guest.layout == WITX else self._legacy_input(bool(conversions))
        if floats:
            plain = f"i32.const {self._theirs('tensor types', 'f32')} local.set $host-code"
        else:
            refused = f"local.get $host-code i32.const {numbers.REFUSED} i32.eq if {self._fail(guest.mismatch)} end"
            plain = f"""local.get $code {"" if same_types else "call adapter.type"} local.set $host-code
              {refused if host.tensor_types.deadly and not same_types else ""}"""
        for at, conversion in enumerate(conversions):
            plain = self._converted_input(at, conversion, plain, floats)
        return f"{decoded} {plain} {self._give_input(bool(conversions))}"

    def _witx_input(self) -> str:
        outside = self._fail(self.guest.bad_pointer)
        if self.host.layout == WITX:  # it looks at pointers itself
            outside = f"local.get context local.get index local.get tensor call host.set_input {self.errno} return"
        return f"""local.get tensor i32.const 20 call adapter.inside i32.eqz if {outside} end
          local.get tensor i32.load8_u 8 local.set $code
          local.get tensor i32.load 12 local.set $data
          local.get tensor i32.load 16 local.set $length"""

    def _legacy_input(self, converted: bool) -> str:
        text = """local.get tensor i32.load8_u 4 local.set $code
          local.get tensor i32.load 8 local.set $data"""
        if self.host.layout == WITX or converted:
            width = "i32.const 4" if self.guest.ignores_types else "local.get $code call adapter.width"
            text += f""" local.get tensor i32.load 0 local.set $shape
              local.get $shape i32.load 0 local.set $dims local.get $shape i32.load 4 local.set $rank
              local.get $dims local.get $rank call adapter.count {width} i32.mul local.set $length"""
        return text

    def _converted_input(self, at: int, conversion: Conversion, otherwise: str, floats: bool) -> str:
        guest = self.guest
        wanted = conversion.count * WIDTH[conversion.guest]
        code = guest.tensor_types.numbers.get(TYPE_NAME[conversion.guest])
        right = f"local.get $length i32.const {wanted} i32.eq"
        if not floats and code is not None:
            right += f" local.get $code i32.const {code} i32.eq i32.and"
        return f"""local.get index i32.const {conversion.index} i32.eq if
            {right} i32.eqz if {self._fail(guest.mismatch)} end
            local.get $data i32.const {wanted} call adapter.inside i32.eqz if {self._fail(guest.bad_pointer)} end
            local.get $data {self.scratch} call adapter.input-{at}
            {self.scratch} local.set $data
            i32.const {conversion.scratch_bytes} local.set $length
            i32.const {self._theirs("tensor types", TYPE_NAME[conversion.host])} local.set $host-code
          else {otherwise} end"""

    def _give_input(self, converted: bool) -> str:
        call = "call host.set_input local.set $e"
        given = f"local.get context local.get index local.get tensor {call}"
        done = f"local.get $e {self.errno}"
        if self.guest.layout == WITX and self.host.layout == WITX:
            if not converted:
                return f"""local.get tensor local.get $host-code i32.store8 8 {given}
                  local.get tensor local.get $code i32.store8 8 {done}"""
            put = """local.get tensor local.get $host-code i32.store8 8
              local.get tensor local.get $data i32.store 12 local.get tensor local.get $length i32.store 16"""
            return self._kept_tensor(f"{put} {given}") + done
        if self.guest.layout == WITX:  # the first 8 bytes are what the old layout points to
            put = """local.get tensor local.get tensor i32.store 8
              local.get tensor local.get $host-code i32.store 12 local.get tensor local.get $data i32.store 16"""
            given = f"local.get context local.get index local.get tensor i32.const 8 i32.add {call}"
            return self._kept_tensor(f"{put} {given}") + done
        if self.host.layout != WITX:
            return f"""local.get tensor i64.load 4 local.set $kept
              local.get tensor local.get $host-code i32.store8 4 local.get tensor local.get $data i32.store 8 {given}
              local.get tensor local.get $kept i64.store 4 {done}"""
        return f"""i32.const 20
          local.get tensor i32.const 12
          local.get $shape i32.const 8
          local.get $dims local.get $rank i32.const 2 i32.shl
          local.get $data local.get $length call adapter.room local.tee $record
          i32.const -1 i32.eq if {self._fail("invalid_argument")} end
          local.get $record i64.load 0 local.set $kept local.get $record i64.load 8 local.set $kept2
          local.get $record i32.load 16 local.set $kept3
          local.get $record local.get $dims i32.store 0 local.get $record local.get $rank i32.store 4
          local.get $record local.get $host-code i32.store 8
          local.get $record local.get $data i32.store 12 local.get $record local.get $length i32.store 16
          local.get context local.get index local.get $record {call}
          local.get $record local.get $kept i64.store 0 local.get $record local.get $kept2 i64.store 8
          local.get $record local.get $kept3 i32.store 16 {done}"""

    def _kept_tensor(self, inner: str) -> str:
        """Keep the record's last 12 bytes."""
        return f"""local.get tensor i64.load 8 local.set $kept local.get tensor i32.load 16 local.set $kept3
          {inner}
          local.get tensor local.get $kept i64.store 8 local.get tensor local.get $kept3 i32.store 16 """

    # get_output

    def _get_output(self, function: str) -> str | None:
        guest, host = self.guest, self.host
        conversions = [c for c in self.plan.tensors if c.direction == "output"]
        alike = guest.layout == host.layout and guest.size_unit == host.size_unit
        if alike and not conversions and (guest.wants_byte_size or not host.wants_byte_size):
            return self._same(function)
        self._kinds += [] if guest.layout == host.layout else ["layout"]
        self._kinds += [] if alike and not host.wants_byte_size else ["sizes"]
        given = f"""{self._sizes(function)}
          {self._ask(function, "local.get output")} local.set $e
          local.get $e if
            local.get size-out local.get {"$words" if guest.echoes_capacity else "$old"} i32.store 0
          else
            {self._told_size()}
          end
          local.get $e {self.errno}"""
        if alike and guest.layout == WITX:  # nothing to do for outputs that are not converted
            passed = " ".join(f"local.get {p}" for p in PARAMETERS[WITX][function])
            given = f"{passed} call host.{function} {self.errno} return"
        before = "".join(self._converted_output(function, at, c) for at, c in enumerate(conversions))
        return f"{before} {given}"

    def _sizes(self, function: str) -> str:
        """Set ``$old``, ``$words`` and ``$bytes``: the size word, and the guest's room in both units."""
        guest = self.guest
        if guest.layout != WITX:
            return """local.get size-out i32.load 0 local.tee $old local.set $words
              local.get output local.get $words call adapter.floats local.set $bytes"""
        outside = self._fail(guest.bad_pointer)
        if self.host.layout == WITX:
            passed = " ".join(f"local.get {p}" for p in PARAMETERS[WITX][function])
            outside = f"{passed} call host.{function} {self.errno} return"
        text = f"""local.get size-out i32.const 4 call adapter.inside i32.eqz if {outside} end
          local.get size-out i32.load 0 local.set $old """
        if guest.size_unit == "bytes":
            return text + "local.get capacity local.tee $bytes i32.const 2 i32.shr_u local.set $words"
        return (
            text
            + """local.get capacity local.set $words
          local.get output local.get $words call adapter.floats local.set $bytes"""
        )

    def _ask(self, function: str, output: str) -> str:
        """Call the host; leaves its errno."""
        host = self.host
        if host.layout == WITX:
            room = "$bytes" if host.size_unit == "bytes" else "$words"
            return f"""local.get context local.get index {output} local.get {room} local.get size-out
              call host.{function}"""
        call = f"local.get context local.get index {output} local.get size-out call host.{function}"
        text = f"local.get size-out local.get $words i32.store 0 {call}"
        if not host.wants_byte_size:
            return text
        # Asked with the room in f32 numbers, it tells whether there is enough; asked with bytes, it hands out.
        return f"""{text} local.tee $e i32.eqz if
            local.get size-out local.get $bytes i32.store 0 {call} local.set $e
          end local.get $e"""

    def _told_size(self) -> str:
        if self.guest.size_unit == self.host.size_unit:
            return ""
        shift = "shr_u" if self.guest.size_unit == "words" else "shl"
        return f"local.get size-out local.get size-out i32.load 0 i32.const 2 i32.{shift} i32.store 0"

    def _converted_output(self, function: str, at: int, conversion: Conversion) -> str:
        guest, host = self.guest, self.host
        needed = conversion.count * WIDTH[conversion.guest]
        theirs = conversion.scratch_bytes
        told = theirs if host.size_unit == "bytes" else theirs // 4
        wanted = needed if guest.size_unit == "bytes" else needed // 4
        room = "$guest-bytes" if guest.size_unit == "bytes" else "$guest-words"
        back = "local.get size-out local.get $old i32.store 0"
        failed = "local.get size-out local.get $guest-words i32.store 0" if guest.echoes_capacity else back
        short = f"local.get size-out i32.const {wanted} i32.store 0" if guest.tells_needed else failed
        return f"""local.get index i32.const {conversion.index} i32.eq if
            {self._sizes(function)}
            local.get $bytes local.set $guest-bytes local.get $words local.set $guest-words
            i32.const {theirs} local.set $bytes i32.const {(theirs + 3) // 4} local.set $words
            {self._ask(function, self.scratch)} local.tee $e if
              {failed} local.get $e {self.errno} return
            end
            local.get size-out i32.load 0 i32.const {told} i32.ne if
              {failed} {self._fail("runtime_error")}
            end
            local.get {room} i32.const {wanted} i32.lt_u if {short} {self._fail(guest.short)} end
            local.get output i32.const {needed} call adapter.inside i32.eqz if
              {back} {self._fail(guest.bad_pointer)}
            end
            {self.scratch} local.get output call adapter.output-{at}
            local.get size-out i32.const {wanted} i32.store 0
            i32.const 0 return
          end """


def _locals(text: str, params: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The locals that a text uses, in the order of their first use."""
    words = text.split()
    used = [word for before, word in pairwise(words) if before.startswith("local.")]
    own = dict.fromkeys(name for name in used if (name, "i32") not in params)
    return tuple((name, "i64" if name in {"$kept", "$kept2"} else "i32") for name in own)
