"""Guests' files as verbs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.errors import ModuleError
from lading.files import open_regular
from lading.wasm.read import MOST_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> bytes:
    """A guest's bytes.

    Raises:
        ModuleError: the file cannot be read, or is longer than guests are.
    """
    try:
        with open_regular(path) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ModuleError(f"{path} cannot be read: {error.strerror or error}", remedy="correct the path") from None
    if len(data) > MOST_BYTES:
        raise ModuleError(f"{path} is longer than {MOST_BYTES} bytes", remedy="is it the right file?")
    return data
