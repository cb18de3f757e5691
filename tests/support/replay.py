"""Replays recorded cases on the personalities: one forked process a case.

A server process imports engine, interpreter and numpy once and forks for every case, so that a case costs
milliseconds; modules are compiled once and kept beside it. The forked process is the runner's own ``main``.

    python -m tests.support.replay RECORDING [--case PATTERN] [-v]    # lists what differs, grouped
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from lading import profiles
from lading_agent.runs.spec import DirSpec, Limits, ModelSpec, RunSpec
from tests.support.recordings import GUESTS, MODELS, PROFILES, Case, Replayed, cases, differences, start, steps_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
"""A case's time; each takes milliseconds."""
MEMORY = 1024 * 1024 * 1024
OUTPUT = 64 * 1024 * 1024


@dataclass
class Result:
    """What a replayed recording came to."""

    cases: int = 0
    calls: int = 0
    different: dict[str, list[str]] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    """What our host said in the cases that differ."""

    @property
    def mismatches(self) -> int:
        """How many things differ."""
        return sum(map(len, self.different.values()))

    def text(self, most: int = 50) -> str:
        """All that differs, one line each."""
        lines = [f"{self.cases} cases, {self.calls} calls, {self.mismatches} mismatches"]
        lines += [f"{name}: {told}" for name, all_told in self.different.items() for told in all_told][:most]
        return "\n".join(lines)

    def logged(self) -> str:
        """The host's log of the cases that differ."""
        return "\n".join(f"{name}: log: {line}" for name, log in self.logs.items() for line in log)


class Replayer:
    """A fork server with the folder in which the recorded processes find their models."""

    def __enter__(self) -> Replayer:
        self._temporary = tempfile.TemporaryDirectory(prefix="replay-")
        self.folder = Path(self._temporary.name, "g")
        shutil.copytree(MODELS, self.folder / "models")
        shutil.copy(MODELS / "digits_f32.tflite", self.folder)  # the recordings' shortened absolute path
        (self.folder / "not-wasm").write_bytes(bytes.fromhex("ffd8ffdb0043000101010101"))
        (self.folder / "nofile").touch()
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.replay", "--serve", self._temporary.name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._profiles: dict[str, dict[str, Any]] = {}
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()
        self._temporary.cleanup()

    def run(self, case: Case) -> Replayed:
        """Replay one case."""
        spec = self.spec(case)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"spec": spec.to_json(), "folder": str(self.folder)}).encode() + b"\n")
        self._server.stdin.flush()
        answer = json.loads(self._server.stdout.readline())
        end: Mapping[str, Any] = answer["end"]
        return Replayed(
            steps_of(answer["output"].encode("latin-1")),
            end["outcome"],
            end["status"],
            end["kind"],
            end["message"],
            answer["log"],
        )

    def spec(self, case: Case) -> RunSpec:
        """What the runner is told for a case."""
        how = start(case)
        if how.profile not in self._profiles:
            self._profiles[how.profile] = profiles.find(f"profile:{how.profile}").resolved()
        profile = self._profiles[how.profile]
        module = GUESTS / f"{how.guest}.wasm"
        return RunSpec(
            module=str(module if module.exists() else self.folder / how.guest),
            personality=profile,
            args=how.args,
            dirs=(DirSpec(str(self.folder), "."),) if how.preopen else (),
            models=tuple(
                ModelSpec(m["name"], str(self.folder / m["path"]), target=m.get("target", "cpu")) for m in how.models
            ),
            limits=Limits(memory_bytes=MEMORY),
            backend=profile.get("backend", "litert") if how.backend else "none",
            names_dir=str(self.folder),
        )

    def replay(self, chosen: Iterable[Case]) -> Result:
        """Replay cases and compare each with its recording."""
        result = Result()
        for case in chosen:
            result.cases += 1
            result.calls += len(case.calls)
            replayed = self.run(case)
            told = list(differences(case, replayed))
            if told:
                name = case.name + (f" [{case.model}]" if case.model else "")
                result.different[name] = told
                result.logs[name] = replayed.log
        return result


def serve(folder: Path) -> None:
    """Answer one line for each line on standard input."""
    import ai_edge_litert.interpreter  # noqa: F401
    import numpy as np  # noqa: F401
    import wasmtime

    from lading_agent.nn import golden, guest, host, models, personality, process, state  # noqa: F401

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
    files = [os.memfd_create(name) for name in ("spec", "report", "output")]
    spec, report, output = files
    try:
        os.write(spec, json.dumps(asked["spec"]).encode())
        os.lseek(spec, 0, os.SEEK_SET)
        child = os.fork()
        if child == 0:
            _child(asked["folder"], spec, report, output)
        status = _wait(child)
        events = [json.loads(line) for line in _content(report).splitlines()]
        end = next((e for e in events if e["event"] == "end"), None)
        if end is None:
            end = {"outcome": "died", "status": -1, "kind": "died", "message": f"the process died: {status}"}
        log = [e["text"] for e in events if e["event"] == "log"]
        return {"end": end, "output": _content(output).decode("latin-1"), "log": log}
    finally:
        for file in files:
            os.close(file)


def _child(folder: str, spec: int, report: int, output: int) -> NoReturn:
    try:
        os.chdir(folder)
        os.dup2(output, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT, OUTPUT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        from lading_agent.nn.process import main

        main(["--spec", str(spec), "--report", str(report)])
    finally:
        os._exit(99)


def _wait(child: int) -> int:
    ends = time.monotonic() + SECONDS
    handle = os.pidfd_open(child)
    try:
        import select

        if not select.select([handle], [], [], max(0.0, ends - time.monotonic()))[0]:
            os.kill(child, signal.SIGKILL)
    finally:
        os.close(handle)
    return os.waitpid(child, 0)[1]


def _content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", nargs="*", help=f"of: {', '.join(PROFILES)}")
    parser.add_argument("--case", default="*", help="only cases whose name fits")
    parser.add_argument("-v", action="store_true", help="all that differs, with the host's log")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    write: IO[str] = sys.stdout
    failed = False
    for recording in options.recording or PROFILES:
        began = time.monotonic()
        chosen = [c for c in cases(recording) if fnmatch.fnmatch(c.name, options.case)]
        with Replayer() as replayer:
            result = replayer.replay(chosen)
        failed = failed or bool(result.different)
        write.write(f"{recording}: {result.text(100000 if options.v else 0)} ({time.monotonic() - began:.1f} s)\n")
        if options.v:
            write.write(result.logged() + "\n")
        else:
            groups = Counter(name.split("/")[0].split(" ")[0] for name in result.different)
            for group, count in groups.most_common():
                write.write(f"  {group}: {count} cases\n")
                shown = [(n, t) for n, t in result.different.items() if n.split("/")[0].split(" ")[0] == group][:4]
                for name, told in shown:
                    write.write(f"    {name}: {told[0][:300]}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
