"""The adapter of ``set_input``: the tensor's record as the host has it, and its data in the host's type."""

from __future__ import annotations

from lading.variants.guests import numbers
from lading.variants.guests.abi import TYPE_NAME, WIDTH, Conversion
from lading.variants.guests.speech import WITX, Speech


class Inputs(Speech):
    """Writes adapters that give tensors."""

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
        return f"""{self._meant(conversion)} if
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
