"""The probe's models: a RESHAPE of ``[1, 4]``, or nothing at all, so that outputs are inputs.

``scripts/build-probe-models`` writes them.
"""

from __future__ import annotations

import functools
from importlib import resources


@functools.cache
def model(name: str) -> bytes:
    """A model's bytes by its name (``echo_f32``)."""
    return (resources.files(__name__) / f"{name}.tflite").read_bytes()
