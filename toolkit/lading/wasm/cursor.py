"""A place in a module's bytes from which values are read, each within bounds."""

from __future__ import annotations

from typing import Final

from lading.errors import ModuleError

_REMEDY: Final = "the file is damaged or was not made by a WebAssembly compiler: build or copy it again"
_LONGEST_NAME: Final = 100_000
MOST_WORK: Final = 8_000_000


class Malformed(ModuleError):
    """The bytes at ``offset`` are not what the format has there."""

    def __init__(self, cause: str, offset: int, remedy: str = _REMEDY) -> None:
        super().__init__(f"{cause} (at byte {offset:#x})", remedy=remedy, details={"offset": offset})


class Work:
    """How many more items and instructions may be looked at one by one: bounds the time that any file takes."""

    __slots__ = ("left",)

    def __init__(self, left: int = MOST_WORK) -> None:
        self.left = left

    def spend(self, items: int, offset: int) -> None:
        """Count what was, or is about to be, looked at."""
        self.left -= items
        if self.left < 0:
            raise Malformed(
                f"the module has more than the {MOST_WORK} items and instructions that are looked at",
                offset,
                "is it the right file? Guests for boards are much smaller",
            )


class Cursor:
    """Reads forward from ``at``, never past ``end``; offsets count from the start of the file."""

    __slots__ = ("at", "data", "end", "work")

    def __init__(self, data: bytes, at: int = 0, end: int | None = None, work: Work | None = None) -> None:
        self.data = data
        self.work = Work() if work is None else work
        self.at = at
        self.end = len(data) if end is None else end

    @property
    def done(self) -> bool:
        """Whether everything is read."""
        return self.at >= self.end

    def part(self, size: int, what: str) -> Cursor:
        """The next ``size`` bytes as a cursor of their own; this one goes on behind them."""
        self._need(size, what)
        inner = Cursor(self.data, self.at, self.at + size, self.work)
        self.at += size
        return inner

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes."""
        self._need(size, what)
        self.at += size
        return self.data[self.at - size : self.at]

    def skip(self, size: int, what: str) -> None:
        """Go on behind the next ``size`` bytes."""
        self._need(size, what)
        self.at += size

    def byte(self, what: str) -> int:
        """One byte."""
        if self.at >= self.end:
            raise Malformed(f"{what} is cut off", self.end)
        self.at += 1
        return self.data[self.at - 1]

    def _need(self, size: int, what: str) -> None:
        if size > self.end - self.at:
            raise Malformed(f"{what} is cut off", self.end)

    def u32(self, what: str) -> int:
        """An unsigned number of at most 32 bits (LEB128)."""
        return self._unsigned(32, what)

    def u64(self, what: str) -> int:
        """An unsigned number of at most 64 bits (LEB128)."""
        return self._unsigned(64, what)

    def s32(self, what: str) -> int:
        """A signed number of at most 32 bits (LEB128)."""
        return self._signed(32, what)

    def s33(self, what: str) -> int:
        """A signed number of at most 33 bits (LEB128): a type index, or a negative one-byte code."""
        return self._signed(33, what)

    def s64(self, what: str) -> int:
        """A signed number of at most 64 bits (LEB128)."""
        return self._signed(64, what)

    def _unsigned(self, bits: int, what: str) -> int:
        start, value, shift = self.at, 0, 0
        while True:
            byte = self.byte(what)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise Malformed(f"{what} is a number of too many bytes", start)
        if value >> bits:
            raise Malformed(f"{what} does not fit {bits} bits", start)
        return value

    def _signed(self, bits: int, what: str) -> int:
        start, value, shift = self.at, 0, 0
        while True:
            byte = self.byte(what)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= bits:
                raise Malformed(f"{what} is a number of too many bytes", start)
        if byte & 0x40:
            value -= 1 << shift
        if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
            raise Malformed(f"{what} does not fit {bits} bits", start)
        return value

    def count(self, most: int, what: str) -> int:
        """How many items follow; each takes a byte at least, and no module needs more than ``most``."""
        start = self.at
        number = self.u32(f"the number of {what}")
        if number > most:
            raise Malformed(f"{number} {what} are more than the {most} that are allowed", start)
        if number > self.end - self.at:
            raise Malformed(f"the section of {what} is cut off: {number} are announced", start)
        self.work.spend(number, start)
        return number

    def name(self, what: str) -> str:
        """A UTF-8 string."""
        start = self.at
        size = self.u32(f"the length of {what}")
        if size > _LONGEST_NAME:
            raise Malformed(f"{what} has {size} bytes, more than the {_LONGEST_NAME} that are allowed", start)
        raw = self.take(size, what)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise Malformed(f"{what} is not UTF-8", start) from None
