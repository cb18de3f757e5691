"""The native runner against the Python host and the bare interpreter: cycles, whole processes, peak memory."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.benchmarks.guest import timing_guest
from scripts.benchmarks.timing import ms, paired

if TYPE_CHECKING:
    from lading_agent.runs.launch import RunnerCommand
    from tests.support.script_guest import Outcome

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits"
ROUNDS = {"tiny": 5000, "middling": 300}


def measure() -> dict[str, Any]:
    from lading import profiles
    from lading_agent.runs.launch import python_runner
    from lading_agent.runs.native import native_runner
    from tests.support import made_models, wat_guests

    native = native_runner()
    profile = profiles.find("lading-litert").resolved()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        middling = made_models.write(folder / "middling.tflite", 4, 512, repeat=16)
        empty = folder / "empty.wasm"
        empty.write_bytes(wat_guests.exits(0))

        def run_empty(command: RunnerCommand) -> Outcome:
            return run(command, empty, None, profile)

        ours, theirs = paired(lambda: run_empty(native), lambda: run_empty(python_runner), 15)
        return {
            "digits_f32": cycles(folder, native, DIGITS / "models" / "digits_f32.tflite", ROUNDS["tiny"], profile),
            "few_milliseconds_f32": cycles(folder, native, middling, ROUNDS["middling"], profile),
            "empty_guest": {
                "native_ms": ms(ours),
                "python_ms": ms(theirs),
                "what": "a supervised run, from starting the process to its end; the module is compiled each time",
                "native_peak_memory_bytes": run_empty(native).result.metrics["peak_memory_bytes"],
            },
            "runtime": run_empty(native).result.metrics["runtime"],
        }


def run(command: RunnerCommand, module: Path, model: Path | None, profile: dict[str, Any]) -> Outcome:
    """One supervised run; its standard output is the outcome's memory."""
    from lading_agent.runs.spec import ModelSpec, RunSpec
    from tests.support import script_guest

    models = (ModelSpec("m", str(model)),) if model is not None else ()
    outcome = script_guest.run(RunSpec(str(module), profile, models=models), command=command)
    if outcome.result.status:
        raise SystemExit(f"the guest ended with {outcome.result}")
    return outcome


def cycles(folder: Path, native: RunnerCommand, model: Path, rounds: int, profile: dict[str, Any]) -> dict[str, Any]:
    """set_input + compute + get_output inside a guest on both hosts, and the same on the bare interpreter."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    from lading_agent.runs.launch import python_runner

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    dims = [int(extent) for extent in taken["shape"]]
    data = np.zeros(dims, taken["dtype"])
    module = folder / "timing.wasm"
    module.write_bytes(timing_guest(dims, data.nbytes, int(np.prod(given["shape"])) * 4, rounds))

    def bare() -> float:
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            interpreter.invoke()
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def inside(command: RunnerCommand) -> tuple[float, int]:
        outcome = run(command, module, model, profile)
        times = np.frombuffer(outcome.memory, "<u8")[rounds // 10 :]
        return float(np.median(times)) / 1e9, int(outcome.result.metrics["peak_memory_bytes"])

    bare()
    alone, ours, theirs, memory = [], [], [], []
    for _ in range(5):
        alone.append(bare())
        median, peak = inside(native)
        ours.append(median)
        memory.append(peak)
        theirs.append(inside(python_runner)[0])
    reference, native_s = statistics.median(alone), statistics.median(ours)
    return {
        "bare_invoke_us": round(reference * 1e6, 2),
        "native_cycle_us": round(native_s * 1e6, 2),
        "python_host_cycle_us": round(statistics.median(theirs) * 1e6, 2),
        "native_ratio": round(native_s / reference, 4),
        "native_peak_memory_bytes": max(memory),
        "rounds": rounds,
        "threads": 1,
    }
