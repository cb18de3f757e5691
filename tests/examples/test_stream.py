"""The streaming example: one step of the model, the table of characters, the functions that the guest needs."""

from __future__ import annotations

import re

import numpy as np

from tests.support.examples import EXAMPLES, Litert, assert_golden, assert_sums, imports_of

STREAM = EXAMPLES / "stream"
MODEL = STREAM / "models" / "shiplog.tflite"


def alphabet() -> str:
    found = re.search(r'alphabet\[\] = "(.+?)";', (STREAM / "stream.c").read_text())
    assert found is not None
    return found[1].replace(r"\n", "\n")


def test_data_is_what_build_models_wrote() -> None:
    assert_sums(STREAM)


def test_model_is_small() -> None:
    assert MODEL.stat().st_size < 60_000


def test_tensors_are_where_the_guest_counts_them() -> None:
    litert = Litert(MODEL)
    assert litert.input_order() == ["state", "character"]
    assert litert.output_order() == ["logits", "next_state"]


def test_guest_and_corpus_have_the_same_characters() -> None:
    found = re.search(r'ALPHABET = "(.+?)"', (STREAM / "corpus.py").read_text())
    assert found is not None
    assert found[1].replace(r"\n", "\n") == alphabet()


def test_golden_vector() -> None:
    assert_golden(Litert(MODEL), STREAM / "golden", inputs=["character", "state"], outputs=["logits", "next_state"])


def test_golden_vector_depends_on_the_state() -> None:
    """A host that lost the state would not pass it."""
    litert = Litert(MODEL)
    state = np.load(STREAM / "golden" / "state.npy")
    without = litert({"character": np.load(STREAM / "golden" / "character.npy"), "state": np.zeros_like(state)})
    assert np.abs(without["logits"] - np.load(STREAM / "golden" / "logits.npy")).max() > 1


def test_likeliest_line_is_a_sentence() -> None:
    litert, characters = Litert(MODEL), alphabet()
    state, token, line = np.zeros((1, 72), np.float32), 0, ""
    while len(line) < 200:
        step = litert({"character": np.array([token], np.int32), "state": state})
        state, token = step["next_state"], int(step["logits"].argmax())
        if token == 0:
            break
        line += characters[token]
    assert line == "at dawn we traded a dozen casks of tar for lisbon."


def test_guest_imports() -> None:
    assert imports_of(STREAM / "stream.wasm")["wasi_ephemeral_nn"] == {
        "load_by_name",
        "init_execution_context",
        "set_input",
        "compute_single",
        "get_output_single",
        "fini_single",
    }
