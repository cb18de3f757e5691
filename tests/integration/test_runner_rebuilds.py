"""The committed native runners are what the committed sources compile to, and they are shipped."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import pytest

from lading_agent.runs.native import native_runner
from tests.support.examples import ROOT
from tests.support.script_guest import Script, model

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType
    from typing import Any

SCRIPT = ROOT / "scripts" / "build-runner"


def build_runner() -> ModuleType:
    loader = SourceFileLoader("build_runner", str(SCRIPT))
    spec = importlib.util.spec_from_loader("build_runner", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode, kept = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = kept
    return module


ARCHITECTURES: dict[str, Any] = build_runner().TARGETS


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rebuilding_gives_the_committed_bytes(architecture: str, tmp_path: Path) -> None:
    wanted = build_runner().ZIGLANG
    try:
        installed = version("ziglang")
    except PackageNotFoundError:
        installed = "not installed"
    if installed != wanted:
        reason = f"ziglang is {installed}, the runner is built with {wanted}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    # Another working directory than a developer's: it must not show in the program.
    subprocess.run([sys.executable, SCRIPT, "--out", tmp_path, architecture], cwd=tmp_path, check=True)
    binary = build_runner().binary(architecture)
    assert (tmp_path / binary).read_bytes() == (ROOT / binary).read_bytes()
    assert os.access(ROOT / binary, os.X_OK)


def test_a_sanitized_build_finds_nothing_in_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    program = tmp_path / "lading-runner"
    subprocess.run([sys.executable, SCRIPT, "--sanitized", program], check=True)
    # wasmtime handles these signals itself; what lives to the end of the process is not freed on purpose.
    monkeypatch.setenv("ASAN_OPTIONS", f"detect_leaks=0:handle_segv=0:handle_sigill=0:log_path={tmp_path / 'found'}")
    monkeypatch.setenv("UBSAN_OPTIONS", f"log_path={tmp_path / 'found'}")
    from lading import profiles

    script = Script()
    for name in ("x_f32", "digits_int8", "trained_lstm_int8"):
        script.load(model(name))
    good = model("x_two_in")
    for size in range(0, len(good), 97):
        script.load(good[:size])
    script.init()
    tensor = script.tensor((1, 4), 1, bytes(16))
    for args in ((0, 0, tensor), (0, 1, tensor), (9, 0, tensor), (0, 0, 0xFFFFFFF0)):
        script.call("set_input", *args)
    script.call("compute", 0)
    script.output(16)
    script.output(3)
    script.call("unload", 0)
    script.call("compute", 0)
    ran = script.run(tmp_path, profiles.find("lading-litert").resolved(), command=native_runner(program))
    assert ran.result.outcome == "exit", ran.result
    assert list(tmp_path.glob("found*")) == []
