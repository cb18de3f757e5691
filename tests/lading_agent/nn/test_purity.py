"""The decision core answers from data alone, without an engine or an interpreter in sight."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from lading_agent.nn.calls import Call
from lading_agent.nn.facts import ModelFacts, TensorFacts
from lading_agent.nn.personality import Personality
from lading_agent.nn.rules import decide
from lading_agent.nn.state import ContextState, GraphState, HostState

FACTS = ModelFacts(
    size=1,
    identifier=True,
    inputs=(TensorFacts("x", "int8", (1, 4), (1, 4), 1, 0.5, 3),),
    outputs=(TensorFacts("y", "float32", (1, 4), (1, 4), 4),),
)


class Known:
    """A world in which everything is known beforehand."""

    def given_model(self, call: Call, *, unverified: bool = False) -> GraphState:
        return GraphState(-1, FACTS)

    def file_model(self, path: bytes, *, unverified: bool = False) -> GraphState | None:
        return None

    def named_model(self, name: bytes) -> GraphState | None:
        return GraphState(-1, FACTS, int8="quantize-f32") if name == b"m" else None

    def named_size(self, name: bytes) -> int | None:
        return 1

    def prepare(self, graph: GraphState, context: ContextState) -> str:
        return ""

    def output_bytes(self, context: ContextState, index: int) -> int:
        return FACTS.outputs[index].nbytes


def test_the_core_imports_no_engine() -> None:
    code = "import sys, lading_agent.nn.personality, lading_agent.nn.link; print(*sorted(sys.modules))"
    found = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert not found & {"numpy", "wasmtime", "ai_edge_litert", "tflite_runtime", "ctypes", "msgspec"}


def test_a_conversation_is_decided_without_a_guest(litert: dict[str, Any]) -> None:
    personality, state, world = Personality.from_json(litert), HostState(), Known()

    def ask(function: str, call: Call) -> str:
        found = decide(personality.functions[function].program, call, state, world, personality.policy)
        return found.outcome

    def tensor(code: int, length: int) -> Call:
        args = {"context": 0, "index": 0, "tensor": 0}
        ranges = {"tensor": (0, 20), "dims": (0, 8), "data": (0, length)}
        return Call("set_input", args, 65536, ranges=ranges, type_code=code, dims=(1, 4), dims_length=2, dims_count=4,
                    data_length=length)  # fmt: skip

    name = Call("load_by_name", {}, 65536, ranges={"name": (0, 1), "graph-out": (0, 4)}, name=b"m")
    assert ask("set_input", tensor(1, 16)) == "invalid_argument"
    assert ask("load_by_name", name) == "success"
    assert ask("init_execution_context", Call("i", {"graph": 0}, 65536, ranges={"context-out": (0, 4)})) == "success"
    assert ask("set_input", tensor(1, 16)) == "success"
    assert ask("set_input", tensor(3, 4)) == "invalid_argument"
    assert ask("compute", Call("compute", {"context": 0}, 65536)) == "success"
    output = Call(
        "get_output", {"context": 0, "index": 0}, 65536, ranges={"output": (0, 8), "size-out": (0, 4)}, capacity=8
    )
    assert ask("get_output", output) == "too_large"
    output.capacity = 16
    assert ask("get_output", output) == "success"
