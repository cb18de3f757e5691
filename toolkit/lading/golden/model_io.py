"""Inputs and outputs of a TFLite model, read from its file without an interpreter."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Final

from lading.errors import ModelError
from lading.files import open_regular
from lading_agent.nn.facts import ModelFacts, TensorFacts, read_model

if TYPE_CHECKING:
    from pathlib import Path

ENCODING: Final = "tensorflowlite"


def read_facts(path: Path, what: str) -> ModelFacts:
    """The facts of a model file.

    Args:
        path: the file.
        what: how messages call it: ``model 'digits'``.

    Raises:
        ModelError: it cannot be read, or is not a TFLite model.
    """
    try:
        with open_regular(path) as file:
            empty = file.seek(0, 2) == 0
            facts = read_model(b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise ModelError(f"{path}: {what} cannot be read: {error.strerror}", remedy="correct its path") from None
    if facts.error:
        raise ModelError(
            f"{path}: {what} cannot be used: {facts.error}",
            remedy="convert it to TFLite again, or set the model's encoding in lading.toml",
        )
    return facts


def input_labels(facts: ModelFacts) -> tuple[str, ...]:
    """The names by which a project knows the inputs: the signature's where there is one."""
    return _labels(facts.inputs, facts.signature_inputs)


def output_labels(facts: ModelFacts) -> tuple[str, ...]:
    """The names by which a project knows the outputs."""
    return _labels(facts.outputs, facts.signature_outputs)


def _labels(tensors: tuple[TensorFacts, ...], signature: object) -> tuple[str, ...]:
    assert isinstance(signature, dict)
    named = {position: name for name, position in signature.items()}
    return tuple(named.get(position, tensor.name) for position, tensor in enumerate(tensors))


def shown(label: str, tensor: TensorFacts) -> str:
    """``image (int8 1x8x8x1)``"""
    return f"{label} ({tensor.describe()})"
