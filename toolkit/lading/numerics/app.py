"""An app's models as a bundle holds them: their bytes, what they are made of, and inputs to run them with."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lading.errors import BundleError, ModelError, UsageError
from lading.golden.model_io import ENCODING, input_labels, output_labels
from lading.golden.tensors import MAX_TENSOR_BYTES, check_fits, load_npy, raw
from lading_agent.bill import BillError
from lading_agent.nn.facts import read_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from lading.bundle.reader import Bundle
    from lading_agent.bill import Bill, Golden, Model
    from lading_agent.nn.facts import ModelFacts, TensorFacts


@dataclass(frozen=True)
class AppModel:
    """One model of an app, in one variant."""

    model: Model
    data: bytes
    facts: ModelFacts

    @property
    def reference(self) -> str:
        """``name@version``, or the name where there is no version."""
        return self.model.reference

    @property
    def inputs(self) -> Mapping[str, TensorFacts]:
        """Input tensors by the names that a project knows them by."""
        return dict(zip(input_labels(self.facts), self.facts.inputs, strict=True))

    @property
    def outputs(self) -> Mapping[str, TensorFacts]:
        """Output tensors by name."""
        return dict(zip(output_labels(self.facts), self.facts.outputs, strict=True))

    def in_order(self, inputs: Mapping[str, npt.ArrayLike]) -> tuple[bytes, ...]:
        """The bytes of all inputs in the model's order.

        Raises:
            UsageError: one is missing, too much, or of another type or shape.
        """
        import numpy as np

        from lading.golden.model_io import shown

        wanted = self.inputs
        has = ", ".join(shown(label, tensor) for label, tensor in wanted.items())
        found: dict[int, bytes] = {}
        for name, value in inputs.items():
            position = self.facts.input_named(name)
            if position is None:
                raise UsageError(f"model {self.reference} has no input '{name}'", remedy=f"it has: {has}")
            array, tensor = np.asarray(value), self.facts.inputs[position]
            if (array.dtype.name, array.shape) != (tensor.dtype, tensor.shape):
                raise UsageError(
                    f"input '{name}' of model {self.reference} is {tensor.describe()}, not {array.dtype.name} "
                    f"{'x'.join(map(str, array.shape)) or 'scalar'}",
                    remedy="convert or reshape the array (a batch of one is a dimension too)",
                )
            found[position] = raw(array)
        missing = [label for position, label in enumerate(wanted) if position not in found]
        if missing:
            raise UsageError(
                f"model {self.reference}: there is no input {', '.join(missing)}", remedy=f"it wants: {has}"
            )
        return tuple(found[position] for position in range(len(wanted)))


@dataclass(frozen=True)
class Vector:
    """Inputs of one run of a model, and how far its outputs may be apart."""

    name: str
    model: str
    inputs: tuple[bytes, ...]
    """In the model's order."""
    steps: float | None = None
    atol: float | None = None
    rtol: float | None = None


class AppModels:
    """The models of one variant of a bundle. Use it in a ``with`` statement, or :meth:`close` it.

    Raises:
        BundleError: the bundle has no such variant, or is damaged.
    """

    def __init__(self, path: Path, variant: str = "default") -> None:
        from lading.bundle import open_bundle

        self._stack = contextlib.ExitStack()
        self._bundle: Bundle = self._stack.enter_context(open_bundle(path))
        self._read: dict[str, AppModel] = {}
        try:
            self.variant = self.bill.variant(variant)
        except BillError as error:
            self._stack.close()
            raise BundleError(f"{path}: the bill {error}", remedy=error.remedy) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the bundle."""
        self._stack.close()

    @property
    def bill(self) -> Bill:
        """The bundle's bill."""
        return self._bundle.bill

    @property
    def references(self) -> list[str]:
        """The TFLite models, as ``name@version``."""
        return [m.reference for m in self.bill.models if m.encoding == ENCODING]

    def get(self, name: str | None = None) -> AppModel:
        """A model by name (or ``name@version``); None for the only one.

        Raises:
            UsageError: there is none of that name, or there are several.
            ModelError: it is not a TFLite model that can be read.
        """
        if name is None:
            if len(self.references) != 1:
                known = ", ".join(self.references) or "none"
                raise UsageError(
                    f"{self.bill.app.name} has {len(self.references)} TFLite models", remedy=f"name one of: {known}"
                )
            name = self.references[0]
        try:
            model = self.bill.find_model(name)
        except BillError as error:
            raise UsageError(f"{self.bill.app.name}: {error}", remedy=error.remedy) from None
        if model.reference not in self._read:
            self._read[model.reference] = self._load(model)
        return self._read[model.reference]

    def golden(self, only: str | None = None) -> list[Vector]:
        """The inputs of the golden vectors that the bundle carries for this variant, of all models or one."""
        vectors = []
        for number, golden in enumerate(self.bill.golden_for(self.variant.id), 1):
            model = self.get(golden.model)
            if only is None or model is self.get(only):
                inputs = self._golden_inputs(golden, model)
                vectors.append(
                    Vector(f"golden {number}", model.reference, inputs, golden.tolerance, golden.atol, golden.rtol)
                )
        return vectors

    def folder(self, folder: Path, only: str | None = None) -> list[Vector]:
        """Vectors of ``.npy`` files, each named after its input: the folder's own, or one vector a subfolder.

        An app of several models has a subfolder for each, named after it, unless ``only`` names the model.

        Raises:
            UsageError: no such folder, nothing in it, or an input is missing.
            ProjectError: a file does not fit its tensor.
        """
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", remedy="give a folder of .npy files, one an input")
        if only is not None or len(self.references) == 1:
            return self._of_one(folder, self.get(only))
        vectors: list[Vector] = []
        for reference in self.references:
            model = self.get(reference)
            part = next((folder / n for n in (reference, model.model.name) if (folder / n).is_dir()), None)
            if part is not None:
                vectors += self._of_one(part, model)
        if not vectors:
            raise UsageError(
                f"{folder} has no subfolder named after a model",
                remedy=f"make one for {' or '.join(self.references)}, or choose a model with --model",
            )
        return vectors

    def _of_one(self, folder: Path, model: AppModel) -> list[Vector]:
        here = sorted(folder.glob("*.npy"))
        if here:
            return [self._vector(folder.name, here, model)]
        parts = [(part, sorted(part.glob("*.npy"))) for part in sorted(folder.iterdir()) if part.is_dir()]
        vectors = [self._vector(part.name, files, model) for part, files in parts if files]
        if not vectors:
            raise UsageError(
                f"{folder} has no .npy files", remedy=f"save the inputs there: {', '.join(model.inputs)} (numpy.save)"
            )
        return vectors

    def _vector(self, name: str, files: Sequence[Path], model: AppModel) -> Vector:
        from lading.golden.record import file_name

        labels = list(model.inputs)
        by_name = {path.name: path for path in files}
        arrays = {}
        for label, tensor in model.inputs.items():
            # A model with one input needs no name for it.
            path = by_name.get(file_name(label)) or (files[0] if len(labels) == len(files) == 1 else None)
            if path is None:
                raise UsageError(
                    f"{files[0].parent} has no file for input {label}",
                    remedy=f"save it as {file_name(label)}; the model has: {', '.join(labels)}",
                )
            key = f"input '{label}' of model {model.reference}"
            array = load_npy(path, key)
            check_fits(array, tensor, label, key, path)
            arrays[label] = array
        return Vector(name, model.reference, model.in_order(arrays))

    def _golden_inputs(self, golden: Golden, model: AppModel) -> tuple[bytes, ...]:
        by_position = {}
        for tensor in golden.inputs:
            position = model.facts.input_named(tensor.tensor)
            if position is None or tensor.size != model.facts.inputs[position].nbytes:
                raise BundleError(
                    f"{self._bundle.path}: a golden vector of model {model.reference} has an input "
                    f"'{tensor.tensor}' that does not fit the model",
                    remedy="pack the project again",
                )
            by_position[position] = self._blob(tensor.digest, MAX_TENSOR_BYTES)
        if sorted(by_position) != list(range(len(model.facts.inputs))):
            raise BundleError(
                f"{self._bundle.path}: a golden vector of model {model.reference} lacks inputs",
                remedy="record it again: lading golden record",
            )
        return tuple(by_position[position] for position in range(len(by_position)))

    def _load(self, model: Model) -> AppModel:
        chosen = next((m for m in self.variant.models if (m.name, m.version) == (model.name, model.version)), None)
        if chosen is None:
            raise BundleError(
                f"{self._bundle.path}: variant {self.variant.id} has no bytes of model {model.reference}",
                remedy="pack the project again",
            )
        data = self._blob(chosen.digest, chosen.size)
        facts = read_model(data)
        if model.encoding != ENCODING or facts.error:
            why = facts.error or f"its encoding is {model.encoding}"
            raise ModelError(f"model {model.reference}: {why}", remedy="only TFLite models are run bare")
        return AppModel(model, data, facts)

    def _blob(self, digest: str, limit: int) -> bytes:
        with self._bundle.open_blob(digest) as blob:
            return blob.read(limit)
