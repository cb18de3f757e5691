"""What a firmware loads, against an engine that has the same features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime

from lading.check.loading import EVERYWHERE, IMPLIED, refused_feature
from lading.trace.needs import module_needs
from tests.support import wasm_texts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("feature", wasm_texts.SWITCHED)
def test_a_feature_that_is_switched_off_refuses_what_an_engine_without_it_refuses(feature: str, tmp_path: Path) -> None:
    engine = wasm_texts.engine([feature])
    taken = {name: True for name in wasm_texts.FEATURES if name not in IMPLIED.get(feature, ())}
    for number, text in enumerate(wasm_texts.all_texts()):
        data = wasm_texts.assembled(text)
        path = tmp_path / f"{number}.wasm"
        path.write_bytes(data)
        refused = refused_feature(module_needs(path), {**taken, feature: False})
        try:
            wasmtime.Module.validate(engine, data)
        except wasmtime.WasmtimeError:
            assert refused is not None, text
            assert refused.verdict == "fails"
        else:
            assert refused is None or refused.verdict == "unknown", (text, refused)


@pytest.mark.parametrize("feature", sorted(set(wasm_texts.FEATURES) - EVERYWHERE))
def test_a_feature_that_a_profile_is_silent_about_is_unknown(feature: str, tmp_path: Path) -> None:
    for number, text in enumerate(wasm_texts.FEATURES[feature]):
        path = tmp_path / f"{number}.wasm"
        path.write_bytes(wasm_texts.assembled(text))
        refused = refused_feature(module_needs(path), {})
        assert refused is not None
        assert refused.verdict == "unknown"
        assert refused.reason
