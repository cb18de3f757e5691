"""Inputs to calibrate a model with: a folder of ``.npy`` files, or the golden vectors of a project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading.errors import UsageError
from lading.golden.model_io import ENCODING, input_labels
from lading.golden.record import file_name
from lading.golden.tensors import load_npy
from lading.project.load import PROJECT_FILE, load_project
from lading_agent.nn.facts import ModelFacts, read_model

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from lading.project.load import Project
    from lading.project.schema import GoldenTable
    from lading_agent.nn.facts import TensorFacts

    Array = npt.NDArray[Any]

MOST: Final = 1000
"""Samples that are used; more do not make a better range."""


@dataclass(frozen=True)
class Calibration:
    """Inputs as a model will meet them."""

    samples: tuple[tuple[Array, ...], ...]
    """For each sample an array an input, in the model's order."""
    expected: tuple[tuple[Array | None, ...], ...] = ()
    """What golden vectors say that comes out, as far as there are any: for the first samples, in the outputs' order."""
    source: str = ""
    """Where they come from, for messages."""


def calibration(path: Path, model: bytes) -> Calibration:
    """Samples for a model.

    Args:
        path: a folder of ``.npy`` files, or a project whose golden vectors stand for them. A folder holds, for a model
            of one input, files of one sample each or stacks of them; else ``INPUT.npy`` stacks or ``INPUT/*.npy``
            files, the n-th of each input belonging together.
        model: the model as it is.

    Raises:
        UsageError: nothing there fits the model.
        ProjectError: a file cannot be read.
    """
    facts = read_model(model)
    if (path / PROJECT_FILE).is_file():
        return _of_project(load_project(path), model, facts)
    if not path.is_dir():
        raise UsageError(
            f"{path} is not a folder", remedy="give a folder of .npy files, or a project with golden vectors"
        )
    labels = input_labels(facts)
    columns = [
        _column(path, label, tensor, alone=len(labels) == 1) for label, tensor in zip(labels, facts.inputs, strict=True)
    ]
    counts = {len(column) for column in columns}
    if len(counts) > 1:
        told = ", ".join(f"{len(c)} of '{label}'" for label, c in zip(labels, columns, strict=True))
        raise UsageError(f"{path} holds {told}: they belong together one by one", remedy="give as many of each input")
    return Calibration(tuple(zip(*columns, strict=True)), source=str(path))


def _column(folder: Path, label: str, tensor: TensorFacts, *, alone: bool) -> list[Array]:
    """The samples of one input."""
    stem = file_name(label).removesuffix(".npy")
    files = sorted((folder / stem).glob("*.npy")) or [f for f in (folder / f"{stem}.npy",) if f.is_file()]
    if not files and alone:
        files = sorted(folder.glob("*.npy"))
    found: list[Array] = []
    for file in files:
        found += _samples(load_npy(file, f"input '{label}'"), tensor, label, file)
        if len(found) >= MOST:
            break
    if not found:
        where = f"{folder / stem}.npy, or .npy files in {folder / stem}/" + (f" or {folder}/" if alone else "")
        raise UsageError(f"there are no samples of input '{label}' in {folder}", remedy=f"save them as {where}")
    return found[:MOST]


def _samples(array: Array, tensor: TensorFacts, label: str, file: Path) -> list[Array]:
    """What a file holds: one sample, or several along its first dimension."""
    shape = tuple(tensor.shape)
    if array.dtype.name == tensor.dtype:
        if array.shape == shape:
            return [array]
        if array.shape[1:] == shape:
            return list(array[:MOST])
        if shape[:1] == (1,) and array.shape[1:] == shape[1:]:
            return [array[n : n + 1] for n in range(min(len(array), MOST))]
    raise UsageError(
        f"{file} is {array.dtype.name} {list(array.shape)}, and input '{label}' {tensor.dtype} {list(shape)}",
        remedy=f"save samples as {tensor.dtype} {list(shape)}, or stacks of them along a first dimension",
    )


def _of_project(project: Project, model: bytes, facts: ModelFacts) -> Calibration:
    """The golden vectors of a project whose inputs fit the model."""
    labels = input_labels(facts)
    vectors = [v for v in project.golden if project.model(v.model).encoding == ENCODING]
    same = [v for v in vectors if project.place(project.model(v.model).path).read_bytes() == model]
    chosen = same or [v for v in vectors if len(v.inputs) == len(labels)]
    samples = []
    expected = []
    for vector in chosen[:MOST]:
        own = read_model(project.place(project.model(vector.model).path).read_bytes())
        arrays = _inputs(project, vector, own, facts)
        if arrays is not None:
            samples.append(arrays)
            expected.append(_outputs(project, vector, own, facts))
    if not samples:
        raise UsageError(
            f"{project.file} has no golden vector whose inputs are those of the model: {', '.join(labels)}",
            remedy="record one with `lading golden record`, or give a folder of .npy files",
        )
    return Calibration(tuple(samples), tuple(expected), str(project.file))


def _inputs(project: Project, vector: GoldenTable, own: ModelFacts, facts: ModelFacts) -> tuple[Array, ...] | None:
    """A vector's inputs as the model takes them; None where they do not fit it.

    Args:
        project: the project.
        vector: one of its vectors.
        own: of the vector's own model, which may be a quantized one.
        facts: of the model to be quantized.
    """
    arrays: dict[int, Array] = {}
    for name, file in vector.inputs.items():
        there = own.input_named(name)
        # The only input is meant, whatever the two models call it.
        position = 0 if len(own.inputs) == len(facts.inputs) == 1 else facts.input_named(name)
        if position is None or there is None:
            return None
        tensor = facts.inputs[position]
        array = load_npy(project.place(file), f"{project.file}: golden input '{name}'")
        if tensor.dtype == "float32":
            array = _real(array, own.inputs[there])
        if (array.dtype.name, array.shape) != (tensor.dtype, tuple(tensor.shape)):
            return None
        arrays[position] = array
    return tuple(arrays[n] for n in range(len(facts.inputs))) if len(arrays) == len(facts.inputs) else None


def _outputs(project: Project, vector: GoldenTable, own: ModelFacts, facts: ModelFacts) -> tuple[Array | None, ...]:
    """What a vector expects, in real numbers; None for outputs that it does not name or that are of another shape."""
    found: list[Array | None] = [None] * len(facts.outputs)
    for name, file in vector.outputs.items():
        there = own.output_named(name)
        position = 0 if len(own.outputs) == len(facts.outputs) == 1 else facts.output_named(name)
        if position is not None and there is not None:
            array = load_npy(project.place(file), f"{project.file}: golden output '{name}'")
            if array.shape == tuple(facts.outputs[position].shape):
                found[position] = _real(array, own.outputs[there])
    return tuple(found)


def _real(array: Array, tensor: TensorFacts) -> Array:
    """A tensor's numbers as f32, where it is quantized."""
    import numpy as np

    if not tensor.quantized or array.dtype.name != tensor.dtype:
        return array
    real: Array = (array.astype(np.int64) - tensor.zero_point) * np.float32(tensor.scale)
    return real.astype(np.float32)
