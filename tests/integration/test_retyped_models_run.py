"""Retyped models on what boards run: the native runner, and TFLite's older runtime; against the model as it came."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lading import profiles
from lading.tflite import read_model
from lading.variants.models.retype import possible, retype
from tests.support.hosts import native
from tests.support.inference import converted, levels, random_feed
from tests.support.script_guest import Script

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lading.tflite.model import Subgraph, Tensor
    from lading_agent.runs.launch import RunnerCommand
    from tests.support.inference import Array

ROOT = Path(__file__).parents[2]
TOOLKIT = ROOT / "toolkit"
VARIABLE = "LADING_TFLITE_RUNTIME_PYTHON"
CODES = {"float32": 1, "int8": 3, "uint8": 3, "int32": 4, "int64": 5}
FOLDERS = (ROOT.parent / "shared" / "models", ROOT / "tests/data/models", *(ROOT / "examples").glob("*/models"))
FILES = {str(p.relative_to(ROOT.parent)): p for folder in FOLDERS for p in sorted(folder.glob("*.tflite"))}


def variants(data: bytes) -> list[bytes]:
    """The model as it came, and in every direction that it has."""
    can = possible(data)
    sides = [[None, *(t for t, d in side.items() if d.changes)] for side in (can.inputs, can.outputs)]
    return [retype(data, inputs=i, outputs=o).data for i, o in itertools.product(*sides)]


CHANGEABLE = [name for name, path in FILES.items() if len(variants(path.read_bytes())) > 1]


@pytest.fixture(params=["native", "tflite-runtime"])
def host(request: pytest.FixtureRequest) -> tuple[RunnerCommand, str, str]:
    """How a runner is started, its profile and its backend."""
    if request.param == "native":
        return native(), "lading-litert", "litert"
    python = os.environ.get(VARIABLE, "")
    if not python:
        reason = f"{VARIABLE} names no Python with tflite-runtime"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    command: RunnerCommand = lambda _: [  # noqa: E731
        "env", f"PYTHONPATH={TOOLKIT}", python, "-m", "lading_agent.nn.process",
    ]  # fmt: skip
    return command, "lading-tflite-runtime", "tflite-runtime"


def steps(tensor: Tensor) -> tuple[float, int]:
    assert tensor.quantization is not None
    return tensor.quantization.scales[0], tensor.quantization.zero_points[0]


def in_integers(old: Tensor, new: Tensor, array: Array) -> Array:
    """A variant's output as the integers of the model as it came."""
    if new.dtype == old.dtype:
        return array
    if new.dtype == "float32":
        assert np.abs(converted(levels(array, old.dtype, *steps(old)), "float32", *steps(old)) - array).max() <= (
            steps(old)[0] / 2
        )
        return levels(array, old.dtype, *steps(old))
    return converted(array, old.dtype, *steps(new))


@pytest.mark.parametrize("name", CHANGEABLE)
def test_every_variant_runs_and_gives_the_integers_of_the_model_as_it_came(
    name: str, host: tuple[RunnerCommand, str, str], tmp_path: Path
) -> None:
    command, profile, backend = host
    made = variants(FILES[name].read_bytes())
    main = read_model(made[0]).main
    feed = random_feed(main.input_tensors, 5)
    got = answers(made, main, feed, tmp_path, command, profile, backend)
    for number, (row, data) in enumerate(zip(got, made, strict=True)):
        for old, new, array, expected in zip(
            main.output_tensors, read_model(data).main.output_tensors, row, got[0], strict=True
        ):
            np.testing.assert_array_equal(in_integers(old, new, array), expected, f"variant {number}")


def answers(
    models: Sequence[bytes],
    main: Subgraph,
    feed: Sequence[Array],
    folder: Path,
    command: RunnerCommand,
    profile: str,
    backend: str,
) -> list[list[Array]]:
    """What each variant gives for one list of inputs."""
    found = []
    for model in models:
        graph = read_model(model).main
        script = Script()
        script.load(model)
        script.init()
        for index, (old, new, array) in enumerate(zip(main.input_tensors, graph.input_tensors, feed, strict=True)):
            data = converted(array, new.dtype, *steps(old)) if old.dtype != new.dtype else array
            record = script.tensor(array.shape, CODES[new.dtype], data.tobytes())
            script.call("set_input", 0, index, record)
        script.call("compute", 0)
        places = [script.output(t.size_bytes or 0, index=n) for n, t in enumerate(graph.output_tensors)]
        ran = script.run(folder, profiles.find(profile).resolved(), command=command, backend=backend)
        assert set(ran.errnos) == {0}, (ran.errnos, ran.logs())
        found.append(
            [
                np.frombuffer(ran.memory[at : at + ran.u32(written)], t.dtype)
                for (at, written), t in zip(places, graph.output_tensors, strict=True)
            ]
        )
    return found
