"""The committed WebAssembly modules are what the committed sources compile to."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pytest

from tests.support.examples import ROOT

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SCRIPT = ROOT / "scripts" / "build-guests"


def build_guests() -> ModuleType:
    loader = SourceFileLoader("build_guests", str(SCRIPT))
    spec = importlib.util.spec_from_loader("build_guests", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module


MODULES: dict[str, object] = build_guests().GUESTS


def ziglang() -> str:
    try:
        return version("ziglang")
    except PackageNotFoundError:
        return "not installed"


def test_every_committed_module_of_ours_is_rebuilt() -> None:
    committed = {
        path.relative_to(ROOT).as_posix()
        for folder in ("examples", "tests/guests", "tests/data/recordings")
        for path in (ROOT / folder).rglob("*.wasm")
    }
    assert committed == set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_rebuilding_gives_the_committed_bytes(module: str, tmp_path: Path) -> None:
    wanted = build_guests().ZIGLANG
    if ziglang() != wanted:
        reason = f"ziglang is {ziglang()}, the modules are built with {wanted}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # Another working directory than a developer's: it must not show in the module.
    subprocess.run([sys.executable, SCRIPT, "--out", tmp_path, module], cwd=tmp_path, check=True)
    assert (tmp_path / module).read_bytes() == (ROOT / module).read_bytes()
