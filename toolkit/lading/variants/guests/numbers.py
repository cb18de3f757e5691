"""Numbers of one side as those of the other, by their names; as a table, and as code that looks it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lading.variants.guests.assemble import Function

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.variants.guests.abi import Abi, Enum

REFUSED: Final = -1
"""What a mapping gives for a number that the host must not see."""

_INSTEAD: Final[Mapping[str, tuple[str, ...]]] = {
    "missing_memory": ("too_large", "invalid_argument"),
    "too_large": ("missing_memory", "invalid_argument"),
    "not_found": ("model_not_found", "invalid_argument"),
    "model_not_found": ("not_found", "invalid_argument"),
    "context_full": ("too_large",),
    "prompt_too_long": ("too_large",),
    "security": ("unsupported_operation",),
}
"""What comes nearest to an errno that a guest does not know; WAMR 1.3 gives 3 for what later ones call too large."""
_LAST: Final = ("runtime_error", "invalid_argument")
_OF_LANGUAGE_MODELS: Final = frozenset(("end_of_sequence", "context_full", "prompt_too_long", "model_not_found"))
"""TFLite gives none of these."""


def errno(abi: Abi, name: str) -> int:
    """A side's number for an errno, or for the nearest that it knows."""
    if name == "success":
        return 0
    for known in (name, *_INSTEAD.get(name, ()), *_LAST):
        if known in abi.errno:
            return abi.errno[known]
    return max(abi.errno.values(), default=1) or 1


def errno_table(host: Abi, guest: Abi) -> dict[int, int]:
    """The guest's number for each of the host's."""
    return {number: errno(guest, name) for name, number in host.errno.items()}


def same_errno(host: Abi, guest: Abi) -> bool:
    """Whether the guest understands every errno of the host as it is."""
    return all(guest.errno.get(n) == number or n in _OF_LANGUAGE_MODELS for n, number in host.errno.items())


def enum_table(guest: Enum, host: Enum, renamed: Mapping[str, str]) -> dict[int, int]:
    """The host's number for each of the guest's that has a name there."""
    names = {number: renamed.get(name, name) for name, number in guest.numbers.items()}
    return {number: host.numbers[name] for number, name in names.items() if name in host.numbers}


def same_enum(guest: Enum, host: Enum, renamed: Mapping[str, str]) -> bool:
    """Whether every number that the guest has means the same to the host, or nothing."""
    table = enum_table(guest, host, renamed)
    meant = set(host.numbers.values())
    alike = all(table.get(n) == n or (n not in table and n not in meant) for n in guest.numbers.values())
    return alike and host.mask & ~guest.mask == 0 and (guest.deadly or not host.deadly)


def lookup(name: str, table: Mapping[int, int], otherwise: int, mask: int = 0xFFFFFFFF) -> Function:
    """A function that looks a number up."""
    text = f"i32.const {otherwise}"
    for number, result in table.items():
        text = f"i32.const {result} {text} local.get n i32.const {number} i32.eq select"
    masked = f"local.get n i32.const {mask} i32.and local.set n " if mask != 0xFFFFFFFF else ""
    return Function(name, (("n", "i32"),), ("i32",), masked + text)


def errno_function(name: str, host: Abi, guest: Abi) -> Function:
    """A function that gives the guest's number for the host's errno; success is the quickest."""
    table = {number: result for number, result in errno_table(host, guest).items() if number}
    found = lookup(name, table, errno(guest, "runtime_error"))
    return Function(name, found.params, found.results, f"local.get n i32.eqz if i32.const 0 return end {found.text}")


def enum_function(
    name: str, guest: Enum, host: Enum, renamed: Mapping[str, str], otherwise: int | None = None
) -> Function:
    """A function that gives the host's number for the guest's; `REFUSED` where a host ends at numbers unknown to it."""
    if otherwise is None:
        otherwise = REFUSED if host.deadly else host.unknown()
    return lookup(name, enum_table(guest, host, renamed), otherwise, guest.mask)
