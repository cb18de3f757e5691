"""The child process in which `golden record` runs a model: an interpreter that crashes takes only this with it.

Standard input: ``{"model": PATH, "threads": N, "inputs": {NAME: NPY}, "outputs": {NAME: NPY}, "result": PATH}``. The
outputs are written where the job says, and last the result: ``{"engine": TEXT}`` or ``{"error": TEXT}``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lading_agent.nn.engine import Engine, EngineMissing, Inference, Refused
from lading_agent.nn.facts import read_model


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    try:
        result = {"engine": _run(job)}
    except (EngineMissing, Refused, MemoryError) as error:
        result = {"error": str(error) or type(error).__name__}
    Path(job["result"]).write_text(json.dumps(result))


def _run(job: dict[str, Any]) -> str:
    import numpy as np

    facts = read_model(Path(job["model"]).read_bytes())
    if facts.error:
        raise Refused(facts.error)
    engine = Engine("litert", job["threads"])
    inference = Inference(engine.open(path=job["model"]), facts)
    for name, path in job["inputs"].items():
        position = facts.input_named(name)
        assert position is not None
        inference.inputs[position]()[...] = np.load(path, allow_pickle=False)
    inference.invoke()
    for name, path in job["outputs"].items():
        position = facts.output_named(name)
        assert position is not None
        np.save(path, inference.outputs[position]().copy(), allow_pickle=False)
    return str(engine.version)


if __name__ == "__main__":
    main()
