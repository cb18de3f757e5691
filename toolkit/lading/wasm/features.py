"""The proposals of WebAssembly that modules are told apart by, as every part of lading calls them."""

from __future__ import annotations

from typing import Final

FEATURES: Final = frozenset(
    (
        "bulk-memory",
        "call-indirect-overlong",
        "custom-page-sizes",
        "exceptions",
        "extended-const",
        "function-references",
        "gc",
        "legacy-exceptions",
        "memory64",
        "multi-memory",
        "multi-value",
        "mutable-globals",
        "reference-types",
        "relaxed-simd",
        "saturating-float-to-int",
        "sign-extension",
        "simd",
        "tail-call",
        "threads",
        "wide-arithmetic",
    )
)
