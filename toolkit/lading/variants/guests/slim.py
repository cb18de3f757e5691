"""Smaller guests for small boards: without what engines ignore, and optimized for size where a program for it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.errors import NotAdaptable, VariantError
from lading.variants.guests import tools
from lading.variants.guests.adapt import Change
from lading.variants.guests.sections import CUSTOM, HEADER, custom, section, split
from lading.variants.guests.validate import validate
from lading.wasm import read_module

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from lading.wasm.module import Module

OPTIMIZER: Final = "wasm-opt"

_FLAGS: Final[Mapping[str, str]] = {
    "sign-extension": "--enable-sign-ext",
    "saturating-float-to-int": "--enable-nontrapping-float-to-int",
    "bulk-memory": "--enable-bulk-memory",
    "reference-types": "--enable-reference-types",
    "call-indirect-overlong": "--enable-reference-types",
    "mutable-globals": "--enable-mutable-globals",
    "multi-value": "--enable-multivalue",
    "simd": "--enable-simd",
    "relaxed-simd": "--enable-relaxed-simd",
    "tail-call": "--enable-tail-call",
    "extended-const": "--enable-extended-const",
}
"""What the optimizer calls the features; a guest with others is not given to it."""


@dataclass(frozen=True)
class Slimmed:
    """A smaller guest."""

    module: bytes
    before: int
    """Bytes that it had."""
    changes: tuple[Change, ...]
    """Empty: nothing could be had, and the module is as it was."""

    @property
    def after(self) -> int:
        """Bytes that it has."""
        return len(self.module)


def slim(module: bytes, *, keep: Collection[str] = (), optimizer: str | Path | None = OPTIMIZER) -> Slimmed:
    """Make a guest smaller; what it does stays the same.

    Args:
        module: a core module.
        keep: custom sections that stay, by name.
        optimizer: binaryen's ``wasm-opt``, by name or path; without it on this machine, or with None, only sections
            that engines ignore are left out.

    Raises:
        ModuleError: it is malformed.
        VariantError: the optimizer failed; says what it said.
        NotAdaptable: it is a component.
    """
    before = read_module(module)
    if before.kind != "core":
        raise NotAdaptable("the module is a WebAssembly component", remedy="build the guest as a core module")
    changes = []
    out, gone = _stripped(module, frozenset(keep))
    if gone:
        changes.append(Change("custom sections", f"{', '.join(gone)} left out: {_bytes(module, out)}"))
    program = tools.find(str(optimizer)) if optimizer is not None else None
    if program is not None and set(before.features) <= set(_FLAGS):
        smaller = _optimized(out, program, before, names="name" in keep)
        if len(smaller) < len(out):
            changes.append(Change(tools.version(program) or OPTIMIZER, f"for size: {_bytes(out, smaller)}"))
            out = smaller
    return Slimmed(out, len(module), tuple(changes))


def _bytes(before: bytes, after: bytes) -> str:
    return f"{len(before) - len(after)} of {len(before)} bytes less"


def _stripped(module: bytes, keep: frozenset[str]) -> tuple[bytes, list[str]]:
    out, gone = [HEADER], list[str]()
    for found in split(module):
        content = module[found.start : found.end]
        if found.number != CUSTOM:
            out.append(section(found.number, content))
        elif found.name in keep:
            out.append(custom(found.name, content))
        else:
            gone.append(found.name)
    return (b"".join(out), gone) if gone else (module, [])


def _optimized(module: bytes, program: str, before: Module, *, names: bool) -> bytes:
    """The optimizer's work, which is believed when it is valid and the guest looks the same from outside."""
    flags = [*sorted({_FLAGS[name] for name in before.features}), *(["-g"] if names else [])]
    made = tools.convert(
        program, lambda source, target: ["-Oz", "--mvp-features", *flags, source, "-o", target], module
    )
    validate(made, "what the optimizer made")
    after = read_module(made)
    outside = [[(e.name, e.kind) for e in m.exports] for m in (before, after)]
    if outside[0] != outside[1] or not set(after.imports) <= set(before.imports):
        raise VariantError(
            "what the optimizer made has other imports or exports", remedy="try another release of it, or leave it out"
        )
    return made if set(after.features) <= set(before.features) else module
