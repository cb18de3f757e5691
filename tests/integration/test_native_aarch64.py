"""Code compiled ahead on the host, for another architecture: the aarch64 runner's own ``compile`` under qemu."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import wasmtime

from lading import profiles
from lading_agent.runs.spec import RunSpec
from tests.support.arm64 import emulated
from tests.support.script_guest import EXTENDED, Script, model, wat

if TYPE_CHECKING:
    from pathlib import Path


def test_code_compiled_ahead_is_loaded_by_the_run(tmp_path: Path) -> None:
    board = emulated(tmp_path / "arm64")
    code = tmp_path / "code"
    code.mkdir(mode=0o700)
    board = replace(board, native=replace(board.native, code=code))
    litert = profiles.find("lading-litert").resolved()
    module = tmp_path / "script.wasm"
    module.write_bytes(wasmtime.wat2wasm(wat(EXTENDED)))
    digest = f"sha256:{hashlib.sha256(module.read_bytes()).hexdigest()}"
    command = board.program(board.native.compile(RunSpec(str(module), litert, module_digest=digest)))
    states = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        states.append(json.loads(done.stdout)["state"])
    assert states == ["compiled", "present"]
    script = Script()
    script.load(model("x_f32"))
    script.init()
    script.call("compute", 0)
    ran = script.run(tmp_path, litert, command=board)
    assert ran.errnos == [0, 0, 0]
    assert dict(ran.result.metrics)["code"] == "loaded"
