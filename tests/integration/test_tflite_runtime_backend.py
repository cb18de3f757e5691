"""The second TFLite backend, in a virtual environment of its own: the same guests, the same answers.

Wants the path of a Python that has ``tflite-runtime``, ``numpy<2`` and ``wasmtime`` in LADING_TFLITE_RUNTIME_PYTHON.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lading import profiles
from lading_agent.runs.spec import GoldenSpec, Limits, ModelSpec, RunSpec, TensorFile
from tests.support.script_guest import MODELS, Script, model, run

if TYPE_CHECKING:
    from lading_agent.runs.launch import RunnerCommand

VARIABLE = "LADING_TFLITE_RUNTIME_PYTHON"
TOOLKIT = Path(__file__).parents[2] / "toolkit"
F32, U8 = 1, 3
IMAGE = (np.arange(64, dtype=np.float32) % 17 / 16).reshape(1, 8, 8, 1)


@pytest.fixture(scope="module")
def command() -> RunnerCommand:
    python = os.environ.get(VARIABLE, "")
    if not python:
        reason = f"{VARIABLE} names no Python with tflite-runtime"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return lambda _: ["env", f"PYTHONPATH={TOOLKIT}", python, "-m", "lading_agent.nn.process"]


@pytest.fixture(scope="module")
def profile() -> dict[str, Any]:
    return profiles.find("lading-tflite-runtime").resolved()


def answers(
    tmp_path: Path, personality: dict[str, Any], command: RunnerCommand | None, backend: str
) -> dict[str, tuple[list[int], bytes]]:
    """The digits models' outputs for one image, and the errnos on the way."""
    found = {}
    images = {
        "digits_f32": (F32, IMAGE.tobytes()),
        "digits_f16": (F32, IMAGE.tobytes()),
        "digits_uint8": (U8, np.round(IMAGE * 255).astype(np.uint8).tobytes()),
        "digits_int8": (U8, np.round(IMAGE * 255 - 128).astype(np.int8).tobytes()),
    }
    for name, (code, data) in images.items():
        script = Script()
        script.load(model(name))
        script.init()
        for _ in range(3):
            script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), code, data))
            script.call("compute", 0)
            at, written = script.output(40)
        script.call("set_input", 0, 0, script.tensor((8, 8), code, data))
        ran = script.run(tmp_path, personality, command=command, backend=backend)
        assert ran.result.outcome == "exit", ran.result
        assert ran.stderr == b""
        found[name] = (ran.errnos, ran.memory[at : at + ran.u32(written)])
    return found


def test_both_backends_answer_alike(tmp_path: Path, command: RunnerCommand, profile: dict[str, Any]) -> None:
    second = answers(tmp_path, profile, command, "tflite-runtime")
    first = answers(tmp_path, profiles.find("lading-litert").resolved(), None, "litert")
    for name, (errnos, data) in first.items():
        assert second[name][0] == errnos
        if len(data) == 40:
            np.testing.assert_allclose(struct.unpack("<10f", second[name][1]), struct.unpack("<10f", data), atol=1e-5)
        else:
            dtype = np.int8 if name == "digits_int8" else np.uint8
            steps = np.frombuffer(second[name][1], dtype).astype(int) - np.frombuffer(data, dtype)
            assert np.abs(steps).max() <= 1


def test_quantized_by_the_host_and_streamed(tmp_path: Path, command: RunnerCommand, profile: dict[str, Any]) -> None:
    models = (
        ModelSpec("digits", str(MODELS / "digits_int8.tflite"), int8="quantize-f32"),
        ModelSpec("two", str(MODELS / "x_two_out.tflite"), state={"PartitionedCall:1": "a"}),
    )
    script = Script()
    script.load_by_name(b"digits")
    script.load_by_name(b"two")
    script.init(0)
    script.init(1)
    script.call("set_input", 0, 0, script.tensor((1, 8, 8, 1), F32, IMAGE.tobytes()))
    script.call("compute", 0)
    at, _ = script.output(40)
    script.call("compute_single", 1)
    script.call("compute_single", 1)
    ran = script.run(tmp_path, profile, command=command, backend="tflite-runtime", models=models)
    assert set(ran.errnos) == {0}
    assert 0.9 < sum(ran.floats(at, 10)) < 1.1
    assert len([e for e in ran.events if e["event"] == "tensor"]) == 2
    assert "tflite-runtime 2.14" in ran.result.metrics["runtime"]


def test_what_it_cannot_read_is_an_errno(tmp_path: Path, command: RunnerCommand, profile: dict[str, Any]) -> None:
    script = Script()
    script.load(b"\xab" * 1000)
    script.load(model("digits_f32")[:9000])
    script.load(model("digits_f32"))
    script.init()
    ran = script.run(tmp_path, profile, command=command, backend="tflite-runtime", limits=Limits(memory_bytes=64 << 20))
    assert ran.errnos == [1, 1, 0, 0]


def test_golden_vectors(tmp_path: Path, command: RunnerCommand, profile: dict[str, Any]) -> None:
    (tmp_path / "x").write_bytes(np.array([[1, 2, 3, 4]], np.float32).tobytes())
    (tmp_path / "y").write_bytes(np.array([[2, 3, 4, 5]], np.float32).tobytes())
    golden = GoldenSpec(
        "m",
        (TensorFile("x", "float32", (1, 4), str(tmp_path / "x")),),
        (TensorFile("PartitionedCall:0", "float32", (1, 4), str(tmp_path / "y")),),
    )
    models = (ModelSpec("m", str(MODELS / "x_f32.tflite")),)
    spec = RunSpec(module="", personality=profile, models=models, golden=(golden,), backend="tflite-runtime")
    assert run(spec, command=command).result.status == 0
