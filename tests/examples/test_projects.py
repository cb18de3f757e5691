"""The examples are projects that lading packs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lading.bundle import open_bundle, pack
from lading.project import load_project
from tests.support.examples import EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("name", "app"), [("digits", "digits"), ("stream", "shiplog")])
def test_packs_with_golden_vectors_and_a_smoke_run(name: str, app: str, tmp_path: Path) -> None:
    out = tmp_path / f"{app}.lading"
    pack(load_project(EXAMPLES / name), out)
    with open_bundle(out) as bundle:
        assert bundle.bill.app.name == app
        assert len(bundle.bill.golden) == 1
        assert len(bundle.bill.smoke) == 1
        assert len(bundle.bill.models) == 1
