"""Runs in forked processes: engine, interpreter and numpy are imported once, so that a run costs milliseconds.

The forked process is the runner's own ``main``; modules are compiled once and kept.

    with ForkServer() as server:
        ran = server.run(spec, stdin=b"")
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading_agent.runs.spec import RunSpec

ROOT = Path(__file__).parents[2]
SECONDS = 120.0


@dataclass(frozen=True)
class Ran:
    """What a run said and how it ended."""

    events: list[dict[str, Any]]
    end: Mapping[str, Any]
    output: bytes


class ForkServer:
    """A process that forks for every run."""

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="forked-")
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forked", self._temporary.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()
        self._temporary.cleanup()

    def run(self, spec: RunSpec, *, stdin: bytes = b"") -> Ran:
        """One run."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        asked = {"spec": spec.to_json(), "stdin": base64.b64encode(stdin).decode()}
        self._server.stdin.write(json.dumps(asked).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        return Ran(answer["events"], answer["end"], base64.b64decode(answer["output"]))


def serve(folder: Path) -> None:
    """Answer one line for each line on standard input."""
    import ai_edge_litert.interpreter  # noqa: F401
    import numpy as np  # noqa: F401
    import wasmtime

    from lading_agent.nn import golden, guest, host, models, observed, personality, process, state  # noqa: F401

    compile_module = wasmtime.Module

    def kept_module(engine: Any, data: bytes) -> Any:
        # Engines with other features do not read each other's modules: then it is compiled.
        kept = folder / f"{hashlib.sha256(data).hexdigest()}.compiled"
        try:
            return compile_module.deserialize_file(engine, str(kept))
        except (wasmtime.WasmtimeError, OSError):
            module = compile_module(engine, data)
        part = kept.with_suffix(f".{os.getpid()}")
        part.write_bytes(module.serialize())
        part.rename(kept)
        return module

    setattr(wasmtime, "Module", kept_module)  # noqa: B010
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(_forked(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


def _forked(asked: Mapping[str, Any]) -> dict[str, Any]:
    files = [os.memfd_create(name) for name in ("spec", "report", "output", "stdin")]
    spec, report, output, stdin = files
    try:
        os.write(spec, json.dumps(asked["spec"]).encode())
        os.lseek(spec, 0, os.SEEK_SET)
        os.write(stdin, base64.b64decode(asked["stdin"]))
        os.lseek(stdin, 0, os.SEEK_SET)
        child = os.fork()
        if child == 0:
            _child(spec, report, output, stdin)
        status = _wait(child)
        events = [json.loads(line) for line in _content(report).splitlines()]
        end = next((e for e in events if e["event"] == "end"), None)
        if end is None:
            end = {"outcome": "died", "status": -1, "kind": "died", "message": f"the process died: {status}"}
        told = [e for e in events if e["event"] != "end"]
        return {"end": end, "events": told, "output": base64.b64encode(_content(output)).decode()}
    finally:
        for file in files:
            os.close(file)


def _child(spec: int, report: int, output: int, stdin: int) -> NoReturn:
    try:
        os.dup2(output, 1)
        os.dup2(stdin, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        from lading_agent.nn.process import main

        main(["--spec", str(spec), "--report", str(report)])
    finally:
        os._exit(99)


def _wait(child: int) -> int:
    ends = time.monotonic() + SECONDS
    handle = os.pidfd_open(child)
    try:
        if not select.select([handle], [], [], max(0.0, ends - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(handle)
    return os.waitpid(child, 0)[1]


def _content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
