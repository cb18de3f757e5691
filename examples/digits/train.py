"""Trains the digit classifier, converts it to four TFLite models and exports the held-out images.

Run through ``scripts/build-models``. Everything is seeded; the results are committed, so nobody needs TensorFlow to use
the example. The images are scikit-learn's copy of the UCI "Optical Recognition of Handwritten Digits" test set: 8x8
pixels with 17 grey levels, 0 (paper) to 16 (ink).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HERE = Path(__file__).parent
SEED = 20240
LEVELS = 16
"""The brightest grey value of an image."""
HELD_OUT_PER_DIGIT = 10
EPOCHS = 60
BATCH = 32


def main(record_golden: Callable[[Path, Path, dict[str, np.ndarray]], None]) -> None:
    """Write ``models/``, ``images/`` and ``golden/`` beside this file.

    Args:
        record_golden: called with a model, a folder and the inputs by name; writes inputs and outputs there as .npy.
    """
    tf.keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    data = load_digits()
    images: np.ndarray = (data.images / LEVELS).astype(np.float32)[..., np.newaxis]
    labels: np.ndarray = data.target
    held_out = choose_held_out(labels)
    rest = np.setdiff1d(np.arange(len(labels)), held_out)

    weights = train(images[rest], labels[rest])

    models = HERE / "models"
    models.mkdir(exist_ok=True)
    for name, flat in convert(weights, images[rest]).items():
        (models / f"digits_{name}.tflite").write_bytes(flat)
    export_images(HERE / "images", data.images[held_out].astype(np.uint8), labels[held_out])

    # A golden vector in which several digits compete: one that is certain would hide a wrong sum.
    best = tf.nn.softmax(network(images[held_out], weights)).numpy().max(axis=1)
    chosen = held_out[np.argmin(np.abs(best - 0.8))]
    image = images[[chosen]]
    as_u8 = np.rint(image * 255).astype(np.uint8)
    as_int8 = (as_u8.astype(np.int16) - 128).astype(np.int8)
    for name, value in (("f32", image), ("float16", image), ("uint8", as_u8), ("int8", as_int8)):
        record_golden(models / f"digits_{name}.tflite", HERE / "golden" / name, {"image": value})


def choose_held_out(labels: np.ndarray) -> np.ndarray:
    """Indices of the images that are never trained on: the same number of each digit, drawn at random, shuffled."""
    rng = np.random.default_rng(SEED)
    chosen = [rng.choice(np.flatnonzero(labels == digit), HELD_OUT_PER_DIGIT, replace=False) for digit in range(10)]
    return rng.permutation(np.concatenate(chosen))


def network(image: Any, weights: Sequence[Any], keep: Any = None) -> Any:
    """A small convolutional network: 8x8x1 image in 0..1 to ten logits. ``keep`` masks features while training."""
    conv1, bias1, conv2, bias2, dense, bias3 = weights
    x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(image, conv1, 1, "SAME") + bias1), 2, 2, "SAME")
    x = tf.nn.relu(tf.nn.conv2d(x, conv2, 1, "SAME") + bias2)
    x = tf.reshape(x, (-1, 256))
    if keep is not None:
        x = x * keep
    return tf.matmul(x, dense) + bias3


def initial_weights(rng: np.random.Generator) -> list[Any]:
    """He's initialisation for each layer, biases zero."""
    weights = []
    for shape in ((3, 3, 1, 8), (3, 3, 8, 16), (256, 10)):
        deviation = np.sqrt(2 / np.prod(shape[:-1]))
        weights.append(tf.Variable(rng.normal(0, deviation, shape).astype(np.float32)))
        weights.append(tf.Variable(np.zeros(shape[-1], np.float32)))
    return weights


def train(images: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
    """Fit on the images, each time shifted by up to a pixel, in an order that the seed fixes; returns the weights."""
    rng = np.random.default_rng(SEED)
    weights = initial_weights(rng)
    optimizer = tf.keras.optimizers.Adam()
    loss_of = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(batch: Any, wanted: Any, keep: Any) -> None:
        with tf.GradientTape() as tape:
            loss = loss_of(wanted, network(batch, weights, keep))
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))

    for epoch in range(EPOCHS):
        optimizer.learning_rate.assign(1e-3 * (1 + np.cos(np.pi * epoch / EPOCHS)))
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            picked = order[start : start + BATCH]
            keep = rng.binomial(1, 0.7, (BATCH, 256)).astype(np.float32) / 0.7
            step(shifted(images[picked], rng), labels[picked], keep)
    return [weight.numpy() for weight in weights]


def shifted(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image moved by -1, 0 or 1 pixel in both directions; paper comes in at the edges."""
    padded = np.pad(batch, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = rng.integers(0, 3, (len(batch), 2))
    return np.stack([image[y : y + 8, x : x + 8] for image, (y, x) in zip(padded, corners, strict=True)])


def convert(weights: Sequence[np.ndarray], images: np.ndarray) -> dict[str, bytes]:
    """The trained network as TFLite: ``f32``, ``float16`` (weights only), ``int8`` and ``uint8`` (with I/O)."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 1), tf.float32, name="image")])
    def classify(image: Any) -> dict[str, Any]:
        return {"probabilities": tf.nn.softmax(network(image, weights))}

    module.classify = classify

    def representative() -> Iterator[dict[str, np.ndarray]]:
        for image in images[:300]:
            yield {"image": image[np.newaxis]}

    with tempfile.TemporaryDirectory() as saved:
        tf.saved_model.save(module, saved, signatures=classify)

        def converter() -> Any:
            made = tf.lite.TFLiteConverter.from_saved_model(saved)
            # Per-channel weights in a dense layer need FULLY_CONNECTED version 12, which older interpreters refuse.
            made._experimental_disable_per_channel_quantization_for_dense_layers = True  # noqa: SLF001
            return made

        f32 = converter()
        float16 = converter()
        float16.optimizations = [tf.lite.Optimize.DEFAULT]
        float16.target_spec.supported_types = [tf.float16]
        flats = {"f32": f32.convert(), "float16": float16.convert()}
        for name, kind in (("int8", tf.int8), ("uint8", tf.uint8)):
            integer = converter()
            integer.optimizations = [tf.lite.Optimize.DEFAULT]
            integer.representative_dataset = representative
            integer.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            integer.inference_input_type = integer.inference_output_type = kind
            flats[name] = integer.convert()
    return flats


def export_images(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """One binary PGM an image, its label in the name: ``0007_label3.pgm``. Any image viewer opens them."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.pgm"):
        old.unlink()
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        # Viewers show paper as black and ink as white; that is how the data set stores it, and what the model expects.
        header = f"P5\n8 8\n{LEVELS}\n".encode()
        (folder / f"{number:04d}_label{label}.pgm").write_bytes(header + image.tobytes())
