"""The adapter of ``get_output``: sizes in the host's unit, and data in the guest's type."""

from __future__ import annotations

from lading.variants.guests.abi import WIDTH, Conversion
from lading.variants.guests.speech import WITX, Speech
from lading_agent.nn.decode import PARAMETERS


class Outputs(Speech):
    """Writes adapters that take tensors."""

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
        return f"""{self._meant(conversion)} if
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
