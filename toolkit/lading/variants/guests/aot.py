"""Ahead-of-time code for WAMR, made by its own compiler where that is on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.errors import VariantError
from lading.variants.guests import tools

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COMPILER: Final = "wamrc"
MAGIC: Final = b"\0aot"

_ARCHITECTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "x86_64": ("--target=x86_64",),
    "i686": ("--target=i386",),
    "aarch64": ("--target=aarch64",),
    "armv6l": ("--target=armv6", "--target-abi=gnueabihf"),
    "armv7l": ("--target=armv7", "--target-abi=gnueabihf"),
    "armv7e-m": ("--target=thumbv7em",),
    "armv8-m.main": ("--target=thumbv8m.main",),
    "riscv64": ("--target=riscv64", "--target-abi=lp64d"),
    "xtensa-lx7": ("--target=xtensa",),
}
"""The compiler's words for the architectures of targets."""


@dataclass(frozen=True)
class Compiled:
    """A guest in code of the target's processor; only WAMR of the compiler's release loads it."""

    code: bytes
    compiler: str
    """What the compiler says of its version."""


def compiler(program: str | Path = COMPILER) -> str | None:
    """Where WAMR's compiler is on this machine; None where it is not."""
    return tools.find(str(program))


def compile_ahead(
    module: bytes, architecture: str, features: Mapping[str, bool], *, program: str | Path = COMPILER
) -> Compiled:
    """Compile a guest for a target.

    Args:
        module: a core module that the firmware loads.
        architecture: the target's.
        features: the firmware profile's ``wasm.features``.
        program: the compiler, by name or path.

    Raises:
        VariantError: there is no compiler, it knows no such target, or it failed; says what it said.
    """
    found = compiler(program)
    if found is None:
        raise VariantError(
            f"there is no {program} on this machine", remedy="install it, of the release of the firmware"
        )
    words = _ARCHITECTURES.get(architecture)
    if words is None:
        raise VariantError(
            f"{COMPILER} has no name for {architecture}", remedy=f"known: {', '.join(sorted(_ARCHITECTURES))}"
        )
    flags = [*words, *(["--disable-simd"] if not features.get("simd", True) else [])]
    code = tools.convert(found, lambda source, target: [*flags, "-o", target, source], module)
    if not code.startswith(MAGIC):
        raise VariantError(f"what {COMPILER} made is no ahead-of-time code", remedy=f"is it WAMR's {COMPILER}?")
    return Compiled(code, tools.version(found))
