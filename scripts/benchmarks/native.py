"""The native runner against the bare engine and the Python host: cycles, processes, what the agent adds, memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.guest import timing_guest
from scripts.benchmarks.timing import ms, paired, seconds

if TYPE_CHECKING:
    from lading_agent.runs.launch import RunnerCommand
    from lading_agent.runs.spec import RunSpec
    from tests.support.script_guest import Outcome

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
ROUNDS = {"tiny": 5000, "middling": 150}
REPEATS = 11
TARGETS = {
    "digits_f32_cycle_us": 2.5,
    "few_milliseconds_ratio": 1.02,
    "empty_guest_process_ms": 4.0,
    "added_by_lading_run_ms": 15.0,
    "digits_peak_memory_mb": 20.0,
}


def measure() -> dict[str, Any]:
    from lading import profiles
    from lading_agent.runs.choose import NATIVE, Chooser
    from tests.support import made_models, wat_guests

    profile = profiles.find("lading-litert").resolved()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        native = Chooser(NATIVE, cache=folder / "cache")
        middling = made_models.write(folder / "middling.tflite", 4, 512, repeat=16)
        empty = folder / "empty.wasm"
        empty.write_bytes(wat_guests.exits(0))
        digits = cycles(folder, native, DIGITS / "models" / "digits_f32.tflite", ROUNDS["tiny"], profile)
        few = cycles(folder, native, middling, ROUNDS["middling"], profile)
        process = empty_guest(native, spec_of(empty, None, profile))
        device = on_a_device(folder, native, empty, profile)
        runtime = run(native, empty, None, profile).result.metrics["runtime"]
    measured = {
        "digits_f32_cycle_us": digits["native_cycle_us"],
        "few_milliseconds_ratio": few["native_ratio"],
        "empty_guest_process_ms": process["process_ms"],
        "added_by_lading_run_ms": device["added_ms"],
        "digits_peak_memory_mb": round(device["digits_peak_memory_bytes"] / 1e6, 1),
    }
    return {
        "digits_f32": digits,
        "few_milliseconds_f32": few,
        "empty_guest": process,
        "device": device,
        "runtime": runtime,
        "targets": {
            name: {"at_most": limit, "measured": measured[name], "met": measured[name] <= limit}
            for name, limit in TARGETS.items()
        },
    }


def spec_of(module: Path, model: Path | None, profile: dict[str, Any]) -> RunSpec:
    from lading_agent.engines.identity import digest_of
    from lading_agent.runs.spec import ModelSpec, RunSpec

    models = (ModelSpec("m", str(model)),) if model is not None else ()
    return RunSpec(str(module), profile, models=models, module_digest=digest_of(module))


def run(command: RunnerCommand, module: Path, model: Path | None, profile: dict[str, Any]) -> Outcome:
    """One supervised run; its standard output is the outcome's memory."""
    from tests.support import script_guest

    outcome = script_guest.run(spec_of(module, model, profile), command=command)
    if outcome.result.status:
        raise SystemExit(f"the guest ended with {outcome.result}")
    return outcome


def cycles(folder: Path, native: RunnerCommand, model: Path, rounds: int, profile: dict[str, Any]) -> dict[str, Any]:
    """set_input + compute + get_output inside a guest on both hosts, and the same on the bare engine.

    Each figure is the median over several processes, which take turns, of their own medians.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    from lading_agent.engines import packages
    from lading_agent.runs.launch import python_runner

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    dims = [int(extent) for extent in taken["shape"]]
    module = folder / f"timing-{model.stem}.wasm"
    size = int(np.prod(dims)) * np.dtype(taken["dtype"]).itemsize
    module.write_bytes(timing_guest(dims, size, int(np.prod(given["shape"])) * 4, rounds))
    library = packages.installed().litert.path

    def bare() -> float:
        words = [sys.executable, "-m", "scripts.benchmarks.bare_engine", str(library), str(model), str(rounds)]
        done = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return float(done.stdout)

    def inside(command: RunnerCommand) -> tuple[float, int]:
        outcome = run(command, module, model, profile)
        times = np.frombuffer(outcome.memory, "<u8")[rounds // 10 :]
        return float(np.median(times)) / 1e9, int(outcome.result.metrics["peak_memory_bytes"])

    bare(), inside(native)
    alone, ours, theirs, memory = [], [], [], []
    for _ in range(REPEATS):
        alone.append(bare())
        median, peak = inside(native)
        ours.append(median)
        memory.append(peak)
        theirs.append(inside(python_runner)[0])
    reference, native_s = statistics.median(alone), statistics.median(ours)
    return {
        "bare_engine_us": round(reference * 1e6, 2),
        "native_cycle_us": round(native_s * 1e6, 2),
        "python_host_cycle_us": round(statistics.median(theirs) * 1e6, 2),
        "native_ratio": round(native_s / reference, 4),
        "native_peak_memory_bytes": max(memory),
        "rounds": rounds,
        "processes_each": REPEATS,
        "threads": 1,
    }


def process_of(command: RunnerCommand, spec: RunSpec) -> None:
    """The runner's process alone, from its start to its end."""
    document = os.memfd_create("spec")
    report = os.memfd_create("report")
    try:
        os.write(document, spec.encode())
        os.lseek(document, 0, os.SEEK_SET)
        words = [*command(spec), "--spec", str(document), "--report", str(report)]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL, pass_fds=(document, report))
    finally:
        os.close(document)
        os.close(report)


def empty_guest(native: RunnerCommand, spec: RunSpec) -> dict[str, Any]:
    """An empty guest whose code was compiled before: the process alone, and supervised runs on both hosts."""
    from lading_agent.runs.launch import python_runner
    from tests.support import script_guest

    alone, supervised = paired(
        lambda: process_of(native, spec), lambda: script_guest.run(spec, command=native), 4 * REPEATS
    )
    last = script_guest.run(spec, command=native).result.metrics
    theirs = statistics.median(seconds(lambda: script_guest.run(spec, command=python_runner)) for _ in range(REPEATS))
    return {
        "process_ms": ms(alone),
        "supervised_ms": ms(supervised),
        "python_host_supervised_ms": ms(theirs),
        "code": last["code"],
        "native_peak_memory_bytes": last["peak_memory_bytes"],
    }


def on_a_device(folder: Path, native: RunnerCommand, empty: Path, profile: dict[str, Any]) -> dict[str, Any]:
    """On an emulated device whose agent is up: what a run adds to its runner's process; the digits app's memory."""
    from lading.client import connect
    from lading.devices import resolve

    address = f"emulated://raspberry-pi-4b?state={folder / 'board'}"
    project = folder / "empty"
    project.mkdir()
    (project / "empty.wasm").write_bytes(empty.read_bytes())
    (project / "lading.toml").write_text(
        'schema = 1\n[app]\nname = "empty"\nversion = "1.0.0"\nmodule = "empty.wasm"\n'
    )
    for source in (project, DIGITS):
        push(source, address)
    spec = spec_of(empty, None, profile)
    with connect(resolve(address)) as session:
        whole, alone = paired(lambda: session.run("empty"), lambda: process_of(native, spec), 4 * REPEATS)
        code = session.run("empty").metrics["code"]
        digits = [session.run("digits").metrics for _ in range(3)]
    return {
        "run_ms": ms(whole),
        "process_ms": ms(alone),
        "added_ms": ms(whole - alone),
        "code": code,
        "digits_median_us": round(min(float(metrics["median_ms"]) for metrics in digits) * 1e3, 2),
        "digits_peak_memory_bytes": max(int(metrics["peak_memory_bytes"]) for metrics in digits),
    }


def push(project: Path, device: str) -> None:
    """Pack and push a project by the command itself."""
    words = [str(Path(sys.executable).with_name("lading")), "push", str(project), device]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
