"""Without the quantizer, lading says what brings it."""

from __future__ import annotations

import pytest

from lading.errors import NotQuantizable
from lading.variants.models import quantize as quantizing
from tests.support.edge_models import through


def test_a_missing_quantizer_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "installed", lambda: False)
    with pytest.raises(NotQuantizable) as caught:
        quantizing.quantize(through("float32"), "dynamic-range")
    assert caught.value.remedy == "pip install 'lading[quantize]'"
