"""Small modules in WebAssembly text (``tests/data/wat``), and engines that know all or some of the features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    import wasmtime

_FOLDER: Final = Path(__file__).parents[1] / "data" / "wat"

ALWAYS_ON: Final = (
    "bulk-memory",
    "extended-const",
    "mutable-globals",
    "reference-types",
    "saturating-float-to-int",
    "sign-extension",
)
"""Features that wasmtime cannot switch off (of two of them it says so by ending the process)."""


def _modules(path: Path) -> list[str]:
    """The modules of a file, which stand apart by blank lines."""
    blocks = path.read_text().split("\n\n")
    return [block for block in blocks if block.lstrip().startswith("(")]


FIRST_VERSION: Final = _modules(_FOLDER / "first-version.wat")
"""Nothing in these is younger than WebAssembly's first version."""

FEATURES: Final = {
    path.stem: _modules(path) for path in sorted(_FOLDER.glob("*.wat")) if path.stem not in {"first-version"}
}
"""Each module needs the feature under which it stands, so that an engine without it refuses the module."""

SWITCHED: Final = tuple(name for name in FEATURES if name not in ALWAYS_ON)
"""Features that an engine can be without."""

# What rests on a feature has to be off when the feature is.
_RESTS_ON: Final = {"simd": ["relaxed-simd"], "function-references": ["gc"]}


def all_texts() -> list[str]:
    """Every module."""
    return [*FIRST_VERSION, *(text for texts in FEATURES.values() for text in texts)]


def assembled(text: str) -> bytes:
    """The module in binary form."""
    import wasmtime

    return bytes(wasmtime.wat2wasm(text))


def engine(without: Iterable[str] = ()) -> wasmtime.Engine:
    """An engine that knows every feature except some, and what rests on those."""
    import wasmtime

    off = set(without)
    for name in list(off):
        off.update(_RESTS_ON.get(name, ()))
    config = wasmtime.Config()
    for name in SWITCHED:
        setattr(config, "wasm_" + name.replace("-", "_"), name not in off)
    return wasmtime.Engine(config)
