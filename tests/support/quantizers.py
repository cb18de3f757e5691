"""Whether models can be quantized here."""

from __future__ import annotations

import os

import pytest

from lading.variants.models.quantize import installed


def needs_quantizer() -> None:
    """Skip a test where the quantizer is not installed; in CI it has to be."""
    if installed():
        return
    reason = "ai-edge-quantizer is not installed: pip install 'lading[quantize]'"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
