"""The TFLite interpreters that a host can use, behind one small interface."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from lading_agent.nn.tensors import TensorView, fill_zero

if TYPE_CHECKING:
    from lading_agent.nn.facts import ModelFacts, TensorFacts

BACKENDS: Mapping[str, Tuple[str, str]] = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
}
"""Module that has ``Interpreter``, and the distribution that brings it."""

MOST_TENSOR_BYTES = 1 << 30
"""What inputs and outputs of one context may take in a run without a limit of its memory."""


class EngineMissing(RuntimeError):
    """The backend is not installed, or cannot be imported here."""


class Refused(ValueError):
    """The interpreter does not take a model, or does not run it."""


class Engine:
    """One TFLite backend."""

    def __init__(self, backend: str, threads: int) -> None:
        """Import the backend.

        Args:
            backend: a key of :data:`BACKENDS`.
            threads: interpreter threads; 0 means all cores.

        Raises:
            EngineMissing: it cannot be imported.
        """
        module, distribution = BACKENDS[backend]
        try:
            self._make = _any_names(importlib.import_module(module).Interpreter)
            self.version = f"{distribution} {importlib.metadata.version(distribution)}"
        except (ImportError, importlib.metadata.PackageNotFoundError) as error:
            raise EngineMissing(f"the TFLite backend {backend!r} is not installed here: {error}") from error
        self.threads = threads if threads > 0 else (os.cpu_count() or 1)

    def open(self, *, path: Optional[str] = None, content: Optional[bytes] = None) -> Any:
        """An interpreter for a model, from a file (mapped, so that all share it) or from bytes (shared as well).

        Raises:
            Refused: the interpreter cannot read it.
        """
        try:
            if path is not None:
                return self._make(model_path=path, num_threads=self.threads)
            return self._make(model_content=content, num_threads=self.threads)
        except (ValueError, RuntimeError, TypeError) as error:
            raise Refused(first_line(error)) from error


def _any_names(interpreter: Any) -> Any:
    """The same interpreter for models with names that are not UTF-8: it is asked for none of them."""

    class AnyNames(interpreter):  # type: ignore[misc]
        def get_signature_list(self) -> Any:
            try:
                return super().get_signature_list()
            except UnicodeDecodeError:
                return {}

        # Nothing may keep a reference to what it wraps: it runs no more then.
        def input_indices(self) -> List[int]:
            return [int(i) for i in self._interpreter.InputIndices()]

        def output_indices(self) -> List[int]:
            return [int(i) for i in self._interpreter.OutputIndices()]

    return AnyNames


def first_line(error: BaseException) -> str:
    """An interpreter's message, short enough for a log."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]


def check_inputs(facts: ModelFacts, most_bytes: int) -> int:
    """Whether a model's inputs, by its file, have no more bytes together; answers what is left for outputs.

    Raises:
        Refused: they have; nobody has reserved memory for them yet.
    """
    left = most_bytes
    for tensor in facts.inputs:
        left = _less(left, tensor.nbytes, most_bytes, f"input '{tensor.name}' is {tensor.describe()}")
    return left


def _less(left: int, nbytes: int, most_bytes: int, what: str) -> int:
    if nbytes > left:
        raise Refused(f"{what}: inputs and outputs may have {most_bytes} bytes together")
    return left - nbytes


class Inference:
    """An interpreter with its tensors allocated: what stands behind an execution context."""

    def __init__(self, interpreter: Any, facts: ModelFacts, most_bytes: int = MOST_TENSOR_BYTES) -> None:
        """Allocate, zero the inputs and warm up.

        A model that keeps something between runs is not run before the guest does.

        Args:
            interpreter: the model's own.
            facts: the model's.
            most_bytes: what inputs and outputs may have together.

        Raises:
            Refused: the interpreter cannot prepare the model, or sees other or larger tensors than ``facts``.
        """
        self.interpreter = interpreter
        self.facts = facts
        self.run = interpreter.invoke
        left = check_inputs(facts, most_bytes)
        try:
            interpreter.allocate_tensors()
            self.inputs: List[TensorView] = [interpreter.tensor(i) for i in interpreter.input_indices()]
            self.outputs: List[TensorView] = [interpreter.tensor(i) for i in interpreter.output_indices()]
            self._compare()
            for index, known in enumerate(facts.outputs):
                what = f"output '{known.name}' is {known.describe()}"
                left = _less(left, self.output_bytes(index), most_bytes, what)
            for tensor, known in zip(self.inputs, facts.inputs):
                fill_zero(known, tensor)
            if not facts.stateful:
                interpreter.invoke()
                for tensor, known in zip(self.inputs, facts.inputs):
                    fill_zero(known, tensor)
        except Refused:
            raise
        except (ValueError, RuntimeError, TypeError) as error:
            raise Refused(first_line(error)) from error

    def _compare(self) -> None:
        if len(self.inputs) != len(self.facts.inputs) or len(self.outputs) != len(self.facts.outputs):
            raise Refused("the interpreter sees other inputs and outputs than the model's file says")
        for tensor, known in zip(self.inputs, self.facts.inputs):
            view = tensor()
            if view.nbytes != known.nbytes or tuple(view.shape) != known.shape:
                raise Refused(f"input '{known.name}' is {known.describe()}, the interpreter has {view.shape}")

    def invoke(self) -> None:
        """Run the model once.

        Raises:
            Refused: the interpreter says no.
        """
        try:
            self.run()
        except (ValueError, RuntimeError) as error:
            raise Refused(first_line(error)) from error

    def output_bytes(self, index: int) -> int:
        """Bytes of an output now."""
        try:
            return int(self.outputs[index]().nbytes)
        except ValueError:  # one that data left without elements has no memory to look at
            return 0


def state_pairs(facts: ModelFacts, state: Mapping[str, str]) -> List[Tuple[int, int]]:
    """Declared state tensors as positions: (output, input).

    Raises:
        Refused: a name is not the model's, or the two tensors do not fit each other.
    """
    pairs: List[Tuple[int, int]] = []
    for out_name, in_name in state.items():
        source, target = facts.output_named(out_name), facts.input_named(in_name)
        if source is None:
            raise Refused(f"state: the model has no output '{out_name}', but {_names(facts.outputs)}")
        if target is None:
            raise Refused(f"state: the model has no input '{in_name}', but {_names(facts.inputs)}")
        a, b = facts.outputs[source], facts.inputs[target]
        if a.dtype != b.dtype or a.shape != b.shape:
            raise Refused(f"state: output '{out_name}' is {a.describe()}, input '{in_name}' {b.describe()}")
        pairs.append((source, target))
    return pairs


def _names(tensors: Tuple[TensorFacts, ...]) -> str:
    return ", ".join(f"'{t.name}'" for t in tensors[:8]) or "none"
