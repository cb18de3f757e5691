"""The numbering that a guest was built for, from its codes and lengths."""

from __future__ import annotations

import pytest

from lading.trace.document import TracedCall, TracedModel
from lading.trace.numbering import NUMBERINGS, WIDTH, find_numbering
from lading_agent.nn.calls import Call
from lading_agent.nn.facts import ModelFacts, TensorFacts


def model(dtype: str = "uint8", element: int = 1) -> TracedModel:
    tensor = TensorFacts("x", dtype, (1, 4), (1, 4), element)
    return TracedModel("m", "sha256:0", 100, ModelFacts(100, identifier=True, inputs=(tensor,)))


def sets(code: int, length: int | None, *, elements: int = 4, n: int = 1, layout: str = "witx") -> TracedCall:
    call = Call("set_input", {"context": 0, "index": 0}, type_code=code, dims_count=elements, data_length=length)
    module = "wasi_nn" if layout == "wamr-legacy" else "wasi_ephemeral_nn"
    return TracedCall(n, module, "set_input", layout, call, "success", 0, told={"model": "m"})


@pytest.mark.parametrize("name", ["spec-old", "spec-new", "wamr-2.1"])
@pytest.mark.parametrize("kind", ["u8", "i32"])
def test_integers_tell_the_numberings_apart(name: str, kind: str) -> None:
    dtype = {"u8": "uint8", "i32": "int32"}[kind]
    code = NUMBERINGS[name][kind]
    found = find_numbering([sets(code, 4 * WIDTH[kind])], {"m": model(dtype, WIDTH[kind])})
    assert found.name == name
    assert found.types == {str(code): kind}
    assert found.evidence


@pytest.mark.parametrize("code", [0, 1])
def test_floats_are_the_same_in_every_numbering(code: int) -> None:
    found = find_numbering([sets(code, 8 if code == 0 else 16)], {"m": model("float32", 4)})
    assert found.name == "undetermined"
    assert set(found.candidates) == {"spec-old", "spec-new", "wamr-2.1"}
    assert found.types == {str(code): ("f16", "f32")[code]}


def test_without_calls_nothing_is_known() -> None:
    assert find_numbering([], {}).name == "undetermined"


def test_the_old_layout_has_a_numbering_of_its_own() -> None:
    assert find_numbering([sets(1, None, layout="wamr-legacy")], {"m": model("float32", 4)}).name == "legacy"


def test_int8_bytes_travel_as_u8() -> None:
    assert find_numbering([sets(2, 4)], {"m": model("int8")}).name == "spec-old"


def test_a_guest_whose_lengths_are_wrong_is_not_guessed_at() -> None:
    found = find_numbering([sets(9, 3)], {"m": model()})
    assert found.name == "undetermined"
