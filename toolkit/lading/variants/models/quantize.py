"""int8 models of float models, by ``ai-edge-quantizer`` (``pip install 'lading[quantize]'``), and what that costs."""

from __future__ import annotations

import importlib.util
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lading.errors import NotQuantizable, UsageError
from lading.jobs import run_job
from lading.tflite.read import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from lading.tflite.model import Model
    from lading.variants.models.samples import Calibration

    Array = npt.NDArray[Any]

MODES: Final = ("int8", "dynamic-range")
DEFAULT_TIMEOUT_S: Final = 600.0
_CONVERSIONS: Final = frozenset({"QUANTIZE", "DEQUANTIZE"})


@dataclass(frozen=True)
class OutputError:
    """How far an output is from what the float model gives, over all samples, in real numbers."""

    name: str
    largest: float
    mean: float
    scale: float
    """A quantization step of it; 0 where it stayed float."""

    @property
    def steps(self) -> float | None:
        """The largest error in quantization steps."""
        return self.largest / self.scale if self.scale else None


@dataclass(frozen=True)
class Agreement:
    """How a model does on golden vectors."""

    vectors: int
    same_largest: int
    """Vectors all of whose outputs have their largest element where the golden output has it."""
    largest: float
    """The largest error over all of them."""


@dataclass(frozen=True)
class Report:
    """What quantizing did to a model."""

    mode: str
    engine: str
    """The quantizer that did it."""
    samples: int
    bytes_before: int
    bytes_after: int
    operators_before: Mapping[str, int]
    """How often each operator is used, as ``NAME vN``."""
    operators_after: Mapping[str, int]
    left_float: tuple[str, ...]
    """Operators that still compute with floats and have constant data: nothing could be done with them."""
    outputs: tuple[OutputError, ...]
    """Empty without samples."""
    golden_before: Agreement | None = None
    golden_after: Agreement | None = None


@dataclass(frozen=True)
class Quantized:
    """A quantized model."""

    data: bytes
    report: Report


def quantize(
    model: bytes, mode: str, calibration: Calibration | None = None, *, timeout_s: float = DEFAULT_TIMEOUT_S
) -> Quantized:
    """Quantize a float model.

    Args:
        model: a TFLite model that computes in f32.
        mode: ``int8`` (weights, activations, inputs and outputs) or ``dynamic-range`` (weights only).
        calibration: inputs as the model will meet them. ``int8`` needs them; for ``dynamic-range`` they only serve to
            measure the error.
        timeout_s: how long it may take.

    Raises:
        UsageError: no such mode, or no samples where they are needed.
        ModelError: not a model, or a damaged one.
        NotQuantizable: the quantizer is not installed, or does not take the model.
    """
    if mode not in MODES:
        raise UsageError(f"'{mode}' is not a mode", remedy=f"use one of {', '.join(MODES)}")
    before = read_model(model)
    _refuse(before, mode, calibration)
    samples = calibration.samples if calibration else ()
    with tempfile.TemporaryDirectory(prefix="lading-quantize-") as scratch:
        folder = Path(scratch)
        job = _job(folder, model, mode, samples)
        engine = _child(job, timeout_s)
        data = (folder / "made.tflite").read_bytes()
        ours, theirs = (_outputs(folder, name, len(samples), len(before.main.outputs)) for name in ("before", "after"))
    after = read_model(data)
    if not any(t.dtype == "int8" for graph in after.subgraphs for t in graph.tensors):
        raise NotQuantizable(
            "the quantizer finds nothing in the model that it could quantize",
            remedy="leave it as it is: it has no weights, or only operators that stay float",
        )
    report = Report(
        mode=mode,
        engine=engine,
        samples=len(samples),
        bytes_before=len(model),
        bytes_after=len(data),
        operators_before=_operators(before),
        operators_after=_operators(after),
        left_float=_left_float(after),
        outputs=tuple(_error(after, index, ours, theirs) for index in range(len(after.main.outputs)))
        if samples
        else (),
        golden_before=_agreement(calibration, ours),
        golden_after=_agreement(calibration, theirs),
    )
    return Quantized(data, report)


def installed() -> bool:
    """Whether the quantizer is there."""
    return importlib.util.find_spec("ai_edge_quantizer") is not None


def _refuse(model: Model, mode: str, calibration: Calibration | None) -> None:
    if not installed():
        raise NotQuantizable(
            "quantizing needs ai-edge-quantizer, which is not installed", remedy="pip install 'lading[quantize]'"
        )
    main = model.main
    done = next((t for t in main.tensors if t.quantization and t.dtype in {"int8", "uint8", "int16"}), None)
    if done is not None:
        raise NotQuantizable(
            f"tensor '{done.name}' is {done.dtype} already: the model is quantized",
            remedy="quantize the float model that it was made from; `lading retype` changes inputs and outputs",
        )
    if not any(t.dtype == "float32" for t in main.tensors):
        raise NotQuantizable("the model computes with no float32 numbers", remedy="leave it as it is")
    if mode == "int8" and not (calibration and calibration.samples):
        raise UsageError(
            "int8 needs inputs to see what ranges the model computes in",
            remedy="give --calibrate a folder of .npy files or a project with golden vectors, or use dynamic-range",
        )


def _job(folder: Path, model: bytes, mode: str, samples: Sequence[Sequence[Array]]) -> dict[str, Any]:
    import numpy as np

    (folder / "model.tflite").write_bytes(model)
    (folder / "outputs").mkdir()
    paths = []
    for number, sample in enumerate(samples):
        row = [str(folder / f"sample-{number}-{index}.npy") for index in range(len(sample))]
        for path, array in zip(row, sample, strict=True):
            np.save(path, array)
        paths.append(row)
    return {
        "model": str(folder / "model.tflite"),
        "mode": mode,
        "samples": paths,
        "made": str(folder / "made.tflite"),
        "outputs": str(folder / "outputs"),
        "result": str(folder / "result.json"),
    }


def _child(job: Mapping[str, Any], timeout_s: float) -> str:
    """Let the job be done; the quantizer's name and version come back."""
    try:
        done = run_job("lading.variants.models.quantizing", job, timeout_s)
    except TimeoutError:
        raise NotQuantizable(
            f"the model could not be quantized within {timeout_s:g} s", remedy="give fewer samples, or more time"
        ) from None
    details = {"stderr": done.said}
    if done.result is None:
        raise NotQuantizable(
            f"the quantizer or the interpreter crashed on the model ({done.ending})",
            remedy="convert the model again; what they said is in the details",
            details=details,
        )
    if "error" in done.result:
        raise NotQuantizable(
            f"the model cannot be quantized: {done.result['error']}",
            remedy="convert it anew with float32 weights, or quantize it with the converter that made it",
            details=details,
        )
    return str(done.result["engine"])


def _outputs(folder: Path, name: str, samples: int, outputs: int) -> list[list[Array]]:
    import numpy as np

    return [
        [np.load(folder / "outputs" / f"{name}-{n}-{i}.npy", allow_pickle=False) for i in range(outputs)]
        for n in range(samples)
    ]


def _operators(model: Model) -> dict[str, int]:
    return {f"{key.name} v{key.version}": count for key, count in model.operators.items()}


def _left_float(model: Model) -> tuple[str, ...]:
    """Operators with float weights."""
    names = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            inputs = [graph.tensors[i] for i in operator.inputs if i >= 0]
            heavy = any(t.is_constant and t.dtype in {"float32", "float16"} and t.elements > 1 for t in inputs)
            integer = any(t.dtype == "int8" for t in inputs)
            if heavy and not integer and operator.key.name not in _CONVERSIONS:
                names.add(operator.key.name)
    return tuple(sorted(names))


def _error(model: Model, index: int, before: list[list[Array]], after: list[list[Array]]) -> OutputError:
    import numpy as np

    tensor = model.main.output_tensors[index]
    away = [
        np.abs(b[index].astype(np.float64) - a[index].astype(np.float64)) for b, a in zip(before, after, strict=True)
    ]
    flat = np.concatenate([a.ravel() for a in away]) if away else np.zeros(0)
    quantized = tensor.dtype in {"int8", "uint8"} and tensor.quantization is not None
    scale = tensor.quantization.scales[0] if quantized and tensor.quantization else 0.0
    names = {e.tensor: e.name for s in model.signatures if s.subgraph == 0 for e in s.outputs}
    return OutputError(
        names.get(tensor.index, tensor.name),
        float(flat.max(initial=0)),
        float(flat.mean()) if flat.size else 0.0,
        scale,
    )


def _agreement(calibration: Calibration | None, outputs: list[list[Array]]) -> Agreement | None:
    import numpy as np

    rows = [row for row in (calibration.expected if calibration else ()) if any(e is not None for e in row)]
    if not rows or calibration is None:
        return None
    same = 0
    largest = 0.0
    for expected, got in zip(calibration.expected, outputs, strict=False):
        pairs = [
            (e.astype(np.float64), g.astype(np.float64)) for e, g in zip(expected, got, strict=False) if e is not None
        ]
        if not pairs:
            continue
        same += all(int(e.argmax()) == int(g.argmax()) for e, g in pairs if e.size)
        largest = max([largest, *(float(np.abs(e - g).max(initial=0)) for e, g in pairs)])
    return Agreement(len(rows), same, largest)
