"""Fuzzes the native runner: ``python -m scripts.fuzzing [--minutes M] [--jobs N] [--seed S] [--json FILE]``.

The runner's sources are built with gcc's AddressSanitizer and UndefinedBehaviorSanitizer and linked with a fuzzer
(``toolkit/lading_runner/fuzz``) over the real engines. Inputs that reach new code are kept and changed further.

    calls      rows of wasi-nn calls with any pointers, lengths, handles, dimensions and damaged models
    models     whole models, damaged in any way, read, prepared and run
    documents  run specifications and firmware profiles
    runs       whole runs in processes of their own: modules, models, streams and command lines

What goes wrong is kept in the folder, with its sanitizer's report, and can be replayed. A crash inside LiteRT or
wasmtime themselves, which a run survives as a named end, is counted apart. Exit status 1: something was found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "toolkit" / "lading_runner"
WORK = ROOT / "build" / "fuzz-runner"
_TRACED = re.compile(r"\bcall.*<__sanitizer_cov_trace_pc>")
TARGETS = ("calls", "models", "documents", "runs")

_FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fno-omit-frame-pointer"]
_SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
_ASAN = {
    "detect_leaks": "0",  # what lives as long as the process is not freed on purpose
    "exitcode": "99",
    "handle_abort": "1",
    "allocator_may_return_null": "1",
    "max_allocation_size_mb": "512",
    "quarantine_size_mb": "16",
    "log_path": "report",
}
_UBSAN = {"print_stacktrace": "1", "exitcode": "99", "log_path": "report"}
_NAMED: list[dict[str, Any]] = [
    {"name": "stream", "model": "x_two_in", "version": "", "state": {"output_0": "serving_default_a:0"}},
    {"name": "digits", "model": "digits_int8", "version": "1.0.0", "int8": "quantize-f32"},
    {"name": "x", "model": "x_f32", "version": "2.0.0"},
    {"name": "gpu", "model": "x_f16", "version": "", "target": "gpu"},
]


def build(into: Path, source: Path = SOURCE) -> tuple[Path, int]:
    """Build the fuzzer. Returns the program, and how many places in the runner's code it can tell apart."""
    into.mkdir(parents=True, exist_ok=True)
    gcc = os.environ.get("CC", "gcc")
    objects = []
    for path in sorted(source.glob("*.c")) + sorted((source / "fuzz").glob("*.c")):
        own = path.parent.name == "fuzz"
        made = into / f"{'fuzz_' if own else ''}{path.stem}.o"
        more = [] if own else ["-fsanitize-coverage=trace-pc"]
        if path == source / "main.c":
            more.append("-Dmain=runner_main")
        subprocess.run([gcc, *_FLAGS, *_SANITIZERS, *more, "-c", path, "-o", made], check=True)
        objects.append(made)
    program = into / "fuzz-runner"
    wrapped = "-Wl,--wrap=run_ends,--wrap=models_given"
    link = [wrapped, "-o", str(program), *map(str, objects), "-ldl", "-lpthread", "-lm"]
    subprocess.run([gcc, *_SANITIZERS, *link], check=True)
    code = subprocess.run(["objdump", "-d", program], check=True, capture_output=True, text=True).stdout
    return program, sum(bool(_TRACED.search(line)) for line in code.splitlines())


def prepare(folder: Path) -> None:
    """Lay out what inputs are made of."""
    import wasmtime

    from lading import profiles
    from tests.support import wat_guests
    from tests.support.script_guest import EXTENDED, wat

    data = ROOT / "tests" / "data"
    for name in ("models", "modules", "profiles"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "models").glob("*.tflite")):
        shutil.copy(path, folder / "models")
    for path in [
        *sorted((data / "recordings" / "guests").glob("*.wasm")),
        *sorted((ROOT / "tests/guests").glob("*.wasm")),
    ]:
        shutil.copy(path, folder / "modules")
    # The first of its name comes first in a folder, and an input decides for it most easily.
    (folder / "modules" / "0-script.wasm").write_bytes(wasmtime.wat2wasm(wat(EXTENDED)))
    for name, module in {
        "exits": wat_guests.exits(7),
        "says": wat_guests.says("words\n", 3),
        "allocates": wat_guests.allocates(),
        "spins": wat_guests.spins(),
        "infers": wat_guests.infers("m"),
    }.items():
        (folder / "modules" / f"{name}.wasm").write_bytes(module)
    for id_, profile in profiles.load_all().items():
        if profile.runs_guests:
            first = "0-" if id_ == "lading-litert" else ""
            (folder / "profiles" / f"{first}{id_}.json").write_text(json.dumps(profile.resolved()), encoding="utf-8")
    named = []
    for model in _NAMED:
        spec: dict[str, Any] = {"encoding": "tensorflowlite", "target": "cpu", "int8": "as-u8", "state": {}, **model}
        spec["path"] = str(data / "models" / f"{spec.pop('model')}.tflite")
        named.append(spec)
    (folder / "named.json").write_text(json.dumps(named), encoding="utf-8")


def command(program: Path, folder: Path) -> list[str]:
    """The fuzzer's command line as far as every use of it has it."""
    from lading_agent.runs.native import native_runner
    from lading_agent.runs.spec import RunSpec

    usual = native_runner()(RunSpec("", {}))
    engines = []
    for name in ("--wasmtime", "--wasmtime-version", "--litert", "--litert-version"):
        engines += [name, usual[usual.index(name) + 1]]
    library = Path(engines[1])
    engines += ["--wasmtime-digest", f"sha256:{hashlib.sha256(library.read_bytes()).hexdigest()}"]
    return [str(program), str(folder), *engines]


def environment() -> dict[str, str]:
    """Ours, with the sanitizers' options."""

    def options(items: dict[str, str]) -> str:
        return ":".join(f"{key}={value}" for key, value in items.items())

    return {**os.environ, "ASAN_OPTIONS": options(_ASAN), "UBSAN_OPTIONS": options(_UBSAN)}


def fuzz(
    work: Path,
    *,
    seconds: int = 0,
    runs: int = 0,
    jobs: int = 1,
    seed: int = 1,
    only: str | None = None,
    source: Path = SOURCE,
) -> dict[str, Any]:
    """Fuzz for some time, or so many inputs of each target.

    Args:
        work: a folder for the program, its findings and figures; what was there before is removed.
        seconds: how long; 0: as ``runs`` says.
        runs: how many inputs of each target.
        jobs: how many fuzzers run at the same time, with seeds one after the other.
        seed: the first one's.
        only: one target.
        source: the runner's sources.

    Returns:
        The figures, JSON-ready.
    """
    shutil.rmtree(work, ignore_errors=True)
    program, places = build(work / "build", source)
    began = time.time()
    many = ["--runs", str(runs)] if runs else ["--seconds", str(seconds)]
    started = []
    for job in range(jobs):
        folder = work / f"job-{job}"
        prepare(folder)
        options = ["--seed", str(seed + job), *many, *(["--only", only] if only else [])]
        started.append(subprocess.Popen([*command(program, folder), *options], env=environment()))
    statuses = [process.wait() for process in started]
    document: dict[str, Any] = {
        "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)),
        "seed": seed,
        "jobs": jobs,
        "minutes": round((time.time() - began) / 60, 1),
        "statuses": statuses,
    }
    return document | totals([work / f"job-{job}" for job in range(jobs)], places)


def totals(folders: Sequence[Path], places: int) -> dict[str, Any]:
    """What the jobs came to together."""
    each = [json.loads((folder / "figures.json").read_text()) for folder in folders]
    found = [str(path) for folder in folders for path in sorted(folder.glob("finding-*.txt"))]
    seconds = sum(figures["seconds"] for figures in each)
    executions = sum(figures["executions"] for figures in each)
    return {
        "executions": executions,
        "per_second": round(executions / seconds * len(each)) if seconds else 0,
        "targets": {name: sum(f["targets"][name]["executions"] for f in each) for name in TARGETS},
        "places_reached": max(figures["places"] for figures in each),
        "places": places,
        "findings": found,
        "failures": sum(figures["findings"] for figures in each),
        "engine_crashes": sum(figures["engine_crashes"] for figures in each),
        "engine_hangs": sum(figures["engine_hangs"] for figures in each),
        "each": each,
    }


def replay(target: str, file: Path) -> int:
    """One input again, its report on standard error."""
    program, _ = build(WORK / "build")
    folder = WORK / "replay"
    prepare(folder)
    without = {**environment()}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
        without[name] = without[name].replace("log_path=report", "log_path=" + str(folder / "report"))
    for path in folder.glob("report.*"):
        path.unlink()
    status = subprocess.run(
        [*command(program, folder), "--replay", target, str(file.absolute())], env=without, check=False
    ).returncode
    for path in [*folder.glob("report.*"), *folder.glob("broken.txt")]:
        sys.stderr.write(path.read_text(errors="replace"))
        path.unlink()
    return status


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz-runner", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=TARGETS, help="one target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--work", type=Path, default=WORK, metavar="FOLDER", help="findings and figures; it is emptied")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="one input again")
    options = parser.parse_args()
    if options.replay:
        return replay(options.replay[0], Path(options.replay[1]))
    document = fuzz(
        options.work, seconds=round(options.minutes * 60), jobs=options.jobs, seed=options.seed, only=options.only
    )
    text = json.dumps(document, indent=2) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(bool(document["failures"] or any(status not in (0, 1) for status in document["statuses"])))


if __name__ == "__main__":
    sys.exit(main())
