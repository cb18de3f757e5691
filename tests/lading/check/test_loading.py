"""What a firmware loads, against an engine that has the same features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import wasmtime

from lading import profiles
from lading.check.loading import EVERYWHERE, IMPLIED, refused_feature
from lading.probe.features import BYTES, TEXTS
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


@pytest.mark.parametrize("name", ["lading-litert", "lading-tflite-runtime"])
def test_of_lading_s_own_host_nothing_is_unknown(name: str, tmp_path: Path) -> None:
    """What its profile lists is what the installed engine takes with the configuration that the host sets."""
    features = profiles.find(name).wasm.features
    engine = wasmtime.Engine()
    modules = [wasm_texts.assembled(text) for text in (*wasm_texts.all_texts(), *TEXTS.values())]
    for number, data in enumerate([*modules, *BYTES.values()]):
        path = tmp_path / f"{number}.wasm"
        path.write_bytes(data)
        needs = module_needs(path)
        refused = refused_feature(needs, features)
        try:
            wasmtime.Module(engine, data)
        except wasmtime.WasmtimeError:
            assert refused is not None, needs["features"]
            assert refused.verdict == "fails"
        else:
            assert refused is None, needs["features"]
