"""Model files as verbs read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lading.errors import ModelError
from lading.files import open_regular
from lading.tflite.read import MOST_BYTES

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> bytes:
    """A model's bytes.

    Raises:
        ModelError: the file cannot be read, or is longer than models are.
    """
    try:
        with open_regular(path) as file:
            if file.seek(0, 2) > MOST_BYTES:
                raise ModelError(f"{path} is longer than {MOST_BYTES} bytes", remedy="TFLite models are at most 2 GiB")
            file.seek(0)
            return file.read()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}", remedy="correct the path") from None
