"""What tests of the examples share: the bare interpreter, golden files, hashes, a module's imports."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"

Array = np.ndarray[Any, Any]


class Litert:
    """A TFLite model on the bare interpreter, called by signature names."""

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._bytes = path.read_bytes()
        self._interpreter = Interpreter(model_content=self._bytes, num_threads=1)
        self._runner = self._interpreter.get_signature_runner()

    def __call__(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Outputs by name."""
        return dict(self._runner(**inputs))

    def quantization(self, name: str) -> tuple[float, int]:
        """Scale and zero point of an input or output."""
        details = {**self._runner.get_input_details(), **self._runner.get_output_details()}[name]
        scale, zero_point = details["quantization"]
        return float(scale), int(zero_point)

    def input_order(self) -> list[str]:
        """Signature names in the order of the graph's inputs, which is how wasi-nn counts them."""
        names = {d["index"]: name for name, d in self._runner.get_input_details().items()}
        return [names[d["index"]] for d in self._interpreter.get_input_details()]

    def output_order(self) -> list[str]:
        """Signature names in the order of the graph's outputs."""
        names = {d["index"]: name for name, d in self._runner.get_output_details().items()}
        return [names[d["index"]] for d in self._interpreter.get_output_details()]

    def operators(self) -> dict[str, int]:
        """Builtin operator to the version that the model asks for."""
        import tflite

        names = {value: name for name, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
        model = tflite.Model.GetRootAsModel(self._bytes, 0)
        codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
        return {names[code.BuiltinCode()]: code.Version() for code in codes}


def assert_golden(litert: Litert, folder: Path, *, inputs: list[str], outputs: list[str]) -> None:
    """The interpreter computes the recorded outputs: integers to one step, floats to a part in ten thousand."""
    got = litert({name: np.load(folder / f"{name}.npy") for name in inputs})
    for name in outputs:
        expected = np.load(folder / f"{name}.npy")
        assert got[name].dtype == expected.dtype
        if np.issubdtype(expected.dtype, np.integer):
            assert np.abs(got[name].astype(np.int64) - expected.astype(np.int64)).max() <= 1
        else:
            np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5)


def assert_sums(folder: Path) -> None:
    """SHA256SUMS lists exactly the files of the data folders, with their hashes."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    parts = [folder / part for part in ("models", "images", "golden")]
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in parts
        for path in part.rglob("*")
        if path.is_file()
    }
    assert listed == found


def imports_of(module: Path) -> dict[str, set[str]]:
    """Imported functions by module name."""
    import wasmtime

    names: dict[str, set[str]] = {}
    for entry in wasmtime.Module.from_file(wasmtime.Engine(), str(module)).imports:
        names.setdefault(entry.module, set()).add(str(entry.name))
    return names
