"""Whether a module is valid, asked of an engine: types of operands are its business alone."""

from __future__ import annotations

from lading.errors import NotAdaptable


def validate(module: bytes, what: str) -> None:
    """Look at a whole module.

    Raises:
        NotAdaptable: it is not valid; says what the engine said.
    """
    import wasmtime

    try:
        wasmtime.Module.validate(wasmtime.Engine(), module)
    except wasmtime.WasmtimeError as error:
        said = " ".join(str(error).split())[:400]
        raise NotAdaptable(f"{what} is not valid: {said}", remedy="build it again, or without that feature") from error
