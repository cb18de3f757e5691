"""The child process in which a model is quantized: what the quantizer prints, or a crash, stays here.

Standard input: ``{"model": PATH, "mode": MODE, "samples": [[NPY, …], …], "made": PATH, "outputs": DIR,
"result": PATH}``. The quantized model is written to ``made``, what both models give for each sample to ``outputs`` as
``before-SAMPLE-OUTPUT.npy`` and ``after-…``, and last the result: ``{"engine": TEXT}`` or ``{"error": TEXT}``.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]


def main() -> None:
    """Do the job on standard input."""
    job = json.load(sys.stdin)
    try:
        result = {"engine": _run(job)}
    except Exception as error:  # noqa: BLE001 - quantizer and interpreter raise what they like
        lines = str(error).strip().splitlines()
        result = {"error": f"{type(error).__name__}: {lines[0] if lines else ''}"[:500]}
    Path(job["result"]).write_text(json.dumps(result))


def _run(job: dict[str, Any]) -> str:
    import numpy as np

    from lading.variants.models.prepare import prepared
    from lading.variants.models.versions import with_versions

    model = Path(job["model"]).read_bytes()
    samples = [[np.load(path, allow_pickle=False) for path in paths] for paths in job["samples"]]
    made = with_versions(_quantized(prepared(model), job["mode"], samples))
    Path(job["made"]).write_bytes(made)
    for name, data in (("before", model), ("after", made)):
        for number, outputs in enumerate(_infer(data, samples)):
            for index, array in enumerate(outputs):
                np.save(Path(job["outputs"]) / f"{name}-{number}-{index}.npy", array)
    return f"ai-edge-quantizer {importlib.metadata.version('ai-edge-quantizer')}"


def _quantized(model: bytes, mode: str, samples: Sequence[Sequence[Array]]) -> bytes:
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    # Weights of fully connected layers get one scale a tensor: runtimes before FULLY_CONNECTED version 12 refuse those
    # with one a channel, or compute them wrong without a word.
    tensorwise = {qtyping.TFLOperationName.FULLY_CONNECTED: qtyping.QuantGranularity.TENSORWISE}
    channelwise = {qtyping.TFLOperationName.ALL_SUPPORTED: qtyping.QuantGranularity.CHANNELWISE}
    recipe = recipe_manager.RecipeManager()
    for operation, granularity in (channelwise | tensorwise).items():
        if mode == "int8":
            recipe.add_static_config(".*", operation, 8, 8, granularity)
        else:
            recipe.add_dynamic_config(".*", operation, 8, granularity)
    ranges = _ranges(model, recipe, samples) if recipe.need_calibration() else None
    maker = quantizer.Quantizer(model, recipe.get_quantization_recipe())
    return bytes(maker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False).quantized_model)


def _ranges(model: bytes, recipe: Any, samples: Sequence[Sequence[Array]]) -> Any:
    """The ranges that a model's tensors take: all that was met, where the quantizer's default is a moving average,
    which few samples leave too narrow."""
    from ai_edge_quantizer import calibrator
    from ai_edge_quantizer.utils import qsv_utils

    from lading.tflite.read import read_model

    facts = read_model(model)
    signature = next(s for s in facts.signatures if s.subgraph == 0)
    position = {tensor: n for n, tensor in enumerate(facts.main.inputs)}
    feeds = [{end.name: sample[position[end.tensor]] for end in signature.inputs} for sample in samples]
    measure = calibrator.Calibrator(model, num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    measure.calibrate({signature.key: feeds}, recipe)
    return measure.get_model_qsvs()


def _infer(model: bytes, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """What a model gives for each sample, in real numbers, given real numbers."""
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    found = []
    for sample in samples:
        for details, array in zip(interpreter.get_input_details(), sample, strict=True):
            scale, zero_point = details["quantization"]
            dtype, fed = np.dtype(details["dtype"]), array
            if scale and dtype != array.dtype:
                limits = np.iinfo(dtype)
                fed = np.clip(np.rint(array / scale) + zero_point, limits.min, limits.max).astype(dtype)
            interpreter.set_tensor(details["index"], fed)
        interpreter.invoke()
        row = []
        for details in interpreter.get_output_details():
            array = interpreter.get_tensor(details["index"]).copy()
            scale, zero_point = details["quantization"]
            row.append((array.astype(np.float64) - zero_point) * scale if scale and array.dtype.kind in "iu" else array)
        found.append(row)
    return found


if __name__ == "__main__":
    main()
