"""compute_single and its companions over declared state tensors."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from lading_agent.runs.spec import ModelSpec
from tests.support.script_guest import MODELS, Script, model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.script_guest import Outcome

F32 = 1
# x_two_in: inputs b, a; output a - b (or alike). As a stream: the output feeds input 'a' of the next step.
STATE = ModelSpec("sum", str(MODELS / "x_two_in.tflite"), state={"PartitionedCall:0": "a"})


def streamed(ran: Outcome) -> list[list[float]]:
    return [
        np.frombuffer(base64.b64decode(e["data"]), e["dtype"]).tolist() for e in ran.events if e["event"] == "tensor"
    ]


def two_in(a: float, b: float) -> float:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=STATE.path)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        value = a if "_a" in detail["name"] else b
        interpreter.set_tensor(detail["index"], np.full((1, 4), value, np.float32))
    interpreter.invoke()
    return float(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0, 0])


def test_each_step_feeds_the_next_and_fini_single_begins_anew(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load_by_name(b"sum")
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 4), F32, struct.pack("<4f", 3, 3, 3, 3)))
    places = []
    for _ in range(3):
        script.call("compute_single", 0)
        places.append(script.output(16, function="get_output_single")[0])
    script.call("fini_single", 0)
    script.output(16, function="get_output_single")
    script.call("compute_single", 0)
    places.append(script.output(16, function="get_output_single")[0])
    ran = script.run(tmp_path, litert, models=(STATE,))
    assert ran.errnos == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    expected, state = [], 0.0
    for _ in range(3):
        state = two_in(state, 3)
        expected.append(state)
    assert [ran.floats(at, 4)[0] for at in places] == [*expected, expected[0]]
    assert len(set(expected)) == 3


def test_outputs_that_are_no_state_stream_to_the_user(tmp_path: Path, litert: dict[str, Any]) -> None:
    spec = ModelSpec("two", str(MODELS / "x_two_out.tflite"), state={"PartitionedCall:1": "a"})
    script = Script()
    script.load_by_name(b"two")
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 4), F32, struct.pack("<4f", 1, 1, 1, 1)))
    for _ in range(3):
        script.call("compute_single", 0)
    ran = script.run(tmp_path, litert, models=(spec,))
    assert ran.errnos == [0] * 6
    tensors = [e for e in ran.events if e["event"] == "tensor"]
    assert [(e["model"], e["index"], e["step"], e["shape"]) for e in tensors] == [
        ("two", 1, n, [1, 4]) for n in range(3)
    ]
    assert len({tuple(v) for v in streamed(ran)}) == 3


def test_a_model_without_declared_state_says_so(tmp_path: Path, litert: dict[str, Any]) -> None:
    script = Script()
    script.load(model("x_f32"))
    script.init()
    script.call("compute_single", 0)
    script.output(16, function="get_output_single")
    script.call("fini_single", 0)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0, 0, 6, 6, 6]
    assert "no declared state tensors" in ran.logs()


def test_state_that_does_not_fit_is_refused_at_init(tmp_path: Path, litert: dict[str, Any]) -> None:
    path = str(MODELS / "digits_f32.tflite")
    specs = (
        ModelSpec("no-output", path, state={"nothing": "keras_tensor"}),
        ModelSpec("no-input", path, state={"StatefulPartitionedCall_1:0": "nothing"}),
        ModelSpec("shape", path, state={"StatefulPartitionedCall_1:0": "keras_tensor"}),
    )
    for spec, word in zip(specs, ("no output 'nothing'", "no input 'nothing'", "float32 1x10"), strict=True):
        script = Script()
        script.load_by_name(spec.name.encode())
        script.init()
        ran = script.run(tmp_path, litert, models=(spec,))
        assert ran.errnos == [0, 5]
        assert word in ran.logs()


def test_a_model_with_variables_is_not_run_before_the_guest_does(tmp_path: Path, litert: dict[str, Any]) -> None:
    """A warm-up would leave its trace in the variables of a recurrent operator."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(MODELS / "trained_lstm_int8.tflite"))
    interpreter.allocate_tensors()
    value = np.arange(28 * 28, dtype=np.uint8).astype(np.int8).reshape(1, 28, 28)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], value)
    interpreter.invoke()
    expected = interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tobytes()

    script = Script()
    script.load(model("trained_lstm_int8"))
    script.init()
    script.call("set_input", 0, 0, script.tensor((1, 28, 28), 3, value.tobytes()))
    script.call("compute", 0)
    at, _ = script.output(10)
    ran = script.run(tmp_path, litert)
    assert ran.errnos == [0] * 5
    assert ran.memory[at : at + 10] == expected
