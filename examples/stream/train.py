"""Trains the character generator and converts it to a TFLite model of one step.

Run through ``scripts/build-models``. Everything is seeded; the result is committed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from corpus import ALPHABET, sentences  # noqa: E402

SEED = 20240
UNITS = 72
LENGTH = 110
"""Tokens of a training line: the longest sentence and the newlines around it."""
STEPS = 600
BATCH = 64


def main(record_golden: Callable[[Path, Path, dict[str, np.ndarray]], None]) -> None:
    """Write ``models/`` and ``golden/`` beside this file.

    Args:
        record_golden: called with a model, a folder and the inputs by name; writes inputs and outputs there as .npy.
    """
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    weights = train(encode(sentences(BATCH * STEPS, SEED)))
    path = HERE / "models" / "shiplog.tflite"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(convert(weights))

    # The golden vector is a step in the middle of a line, where the state is no longer zero.
    state = np.zeros((1, UNITS), np.float32)
    for character in "\nat noo":
        state = cell(np.array([ALPHABET.index(character)]), state, weights)[0].numpy()
    record_golden(path, HERE / "golden", {"character": np.array([ALPHABET.index("n")], np.int32), "state": state})


def encode(lines: Sequence[str]) -> np.ndarray:
    """Lines as tokens: a newline before, newlines after, all of one length."""
    tokens = np.zeros((len(lines), LENGTH), np.int32)
    for row, line in zip(tokens, lines, strict=True):
        row[1 : len(line) + 1] = [ALPHABET.index(character) for character in line]
    return tokens


def initial_weights(rng: np.random.Generator) -> list[Any]:
    """Gate inputs by character, recurrent weights of gates and candidate, output weights and bias."""

    def variable(*shape: int) -> Any:
        return tf.Variable(rng.normal(0, 1 / np.sqrt(UNITS), shape).astype(np.float32))

    characters = len(ALPHABET)
    return [
        variable(characters, 3 * UNITS),
        variable(UNITS, 2 * UNITS),
        variable(UNITS, UNITS),
        variable(UNITS, characters),
        tf.Variable(np.zeros(characters, np.float32)),
    ]


def cell(character: Any, state: Any, weights: Sequence[Any]) -> tuple[Any, Any]:
    """One step of a gated recurrent unit: token and state to next state and logits of the next token."""
    table, gates, candidate, out, bias = weights
    update_in, reset_in, candidate_in = tf.split(tf.gather(table, character), 3, axis=1)
    update_state, reset_state = tf.split(tf.matmul(state, gates), 2, axis=1)
    update = tf.sigmoid(update_in + update_state)
    reset = tf.sigmoid(reset_in + reset_state)
    proposed = tf.tanh(candidate_in + tf.matmul(reset * state, candidate))
    following = state + update * (proposed - state)
    return following, tf.matmul(following, out) + bias


def train(tokens: np.ndarray) -> list[np.ndarray]:
    """Fit to predict each character from those before it; what follows the end of a line does not count."""
    weights = initial_weights(np.random.default_rng(SEED))
    optimizer = tf.keras.optimizers.Adam()

    @tf.function
    def step(batch: Any) -> Any:
        with tf.GradientTape() as tape:
            state = tf.zeros((BATCH, UNITS))
            total = 0.0
            count = 0.0
            counts = tf.ones(BATCH)
            for place in range(LENGTH - 1):
                state, logits = cell(batch[:, place], state, weights)
                wanted = batch[:, place + 1]
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
                total += tf.reduce_sum(loss * counts)
                count += tf.reduce_sum(counts)
                counts *= tf.cast(wanted != 0, tf.float32)
            mean = total / count
        gradients, _ = tf.clip_by_global_norm(tape.gradient(mean, weights), 1.0)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return mean

    for number, batch in enumerate(tokens.reshape(STEPS, BATCH, LENGTH)):
        optimizer.learning_rate.assign(4e-3 * (1 + np.cos(np.pi * number / STEPS)))
        loss = step(batch)
        if number % 100 == 0 or number == STEPS - 1:
            print(f"step {number}: {float(loss):.3f} nats a character", file=sys.stderr)
    return [weight.numpy() for weight in weights]


def convert(weights: Sequence[np.ndarray]) -> bytes:
    """One step as TFLite, float16 weights: (character, state) to (logits, next_state)."""
    module = tf.Module()

    @tf.function(
        input_signature=[
            tf.TensorSpec((1,), tf.int32, name="character"),
            tf.TensorSpec((1, UNITS), tf.float32, name="state"),
        ]
    )
    def step(character: Any, state: Any) -> dict[str, Any]:
        following, logits = cell(character, state, weights)
        return {"logits": logits, "next_state": following}

    module.step = step
    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved, signatures=step)
        converter = tf.lite.TFLiteConverter.from_saved_model(saved)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())
