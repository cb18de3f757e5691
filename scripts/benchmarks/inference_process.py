"""One process: the bare interpreter's cycle, then the same cycle inside a guest, then the bare one again."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from scripts.benchmarks.guest import timing_guest


def main(model: Path, rounds: int) -> None:
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(model), num_threads=1)
    interpreter.allocate_tensors()
    taken = interpreter.get_input_details()[0]
    given = interpreter.get_output_details()[0]
    dims = [int(extent) for extent in taken["shape"]]
    data = np.zeros(dims, taken["dtype"])

    def bare() -> list[float]:
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            interpreter.set_tensor(taken["index"], data)
            interpreter.invoke()
            interpreter.get_tensor(given["index"])
            times.append(time.perf_counter() - start)
        return times

    bare()
    before = bare()
    inside = in_guest(model, dims, data.nbytes, int(np.prod(given["shape"])) * given["dtype"]().itemsize, rounds)
    after = bare()
    reference = statistics.median(before + after)
    guest = statistics.median(inside[rounds // 10 :])
    figures = {
        "bare_cycle_us": round(reference * 1e6, 2),
        "guest_cycle_us": round(guest * 1e6, 2),
        "overhead_us": round((guest - reference) * 1e6, 2),
        "ratio": round(guest / reference, 4),
        "rounds": rounds,
        "threads": 1,
    }
    print(json.dumps(figures))


def in_guest(model: Path, dims: list[int], input_bytes: int, output_bytes: int, rounds: int) -> list[float]:
    """Seconds of each cycle, by the guest's own clock; the host runs in this process."""
    from lading import profiles
    from lading_agent.nn import process
    from lading_agent.nn.reporting import InterpreterLog, Phase, Report
    from lading_agent.runs.spec import ModelSpec, RunSpec

    with tempfile.TemporaryDirectory() as folder:
        module = Path(folder) / "timing.wasm"
        module.write_bytes(timing_guest(dims, input_bytes, output_bytes, rounds))
        spec = RunSpec(
            module=str(module),
            personality=profiles.find("lading-litert").resolved(),
            models=(ModelSpec("m", str(model)),),
            threads=1,
        )
        output = Path(folder) / "times"
        stdout = os.dup(1)
        with output.open("wb") as file, Path(os.devnull).open("wb") as nowhere:
            os.dup2(file.fileno(), 1)
            try:
                report = Report(nowhere.fileno())
                end = process.run(spec, report, Phase(None), InterpreterLog(report, None))
            finally:
                os.dup2(stdout, 1)
        if end.status:
            raise SystemExit(f"the guest ended with {end}")
        times = output.read_bytes()
    return [int.from_bytes(times[at : at + 8], "little") / 1e9 for at in range(0, len(times), 8)]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
