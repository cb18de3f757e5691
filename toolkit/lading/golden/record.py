"""Records golden vectors: runs a bare model on this machine and keeps what came out as what a device must give."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading.errors import ModelError, UsageError
from lading.golden import toml_edit
from lading.golden.model_io import ENCODING, input_labels, output_labels, read_facts, shown
from lading.golden.tensors import check_fits, load_npy
from lading.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lading.project.load import Project
    from lading.project.schema import GoldenTable, ModelTable
    from lading_agent.nn.facts import ModelFacts

DEFAULT_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True)
class Recorded:
    """One golden vector that was recorded. Paths are as ``lading.toml`` writes them."""

    model: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    added: bool
    """Whether ``lading.toml`` got a new table; otherwise an existing one has new outputs."""
    engine: str
    """The interpreter that ran it."""
    warnings: tuple[str, ...] = ()


def record(
    project: Project,
    model: str | None = None,
    inputs: Mapping[str, Path] | None = None,
    *,
    force: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> list[Recorded]:
    """Record a golden vector, or record anew the outputs of those that the project has.

    Args:
        project: the project; its ``lading.toml`` gets a ``[[golden]]`` table for a new vector.
        model: a model of it (``name`` or ``name@version``); may be left out when it has one.
        inputs: input tensor name to ``.npy`` file. Files outside the project are copied into it. None: take the
            vectors that the project has (of ``model``, if that is given) and write their outputs again.
        force: replace files that are in the way and belong to no vector.
        timeout_s: how long one run of the model may take.

    Raises:
        UsageError: nothing to record, or files in the way.
        ProjectError: an input is missing or does not fit its tensor.
        ModelError: the model cannot be read, or the interpreter fails on it.
    """
    if not inputs:
        return _record_again(project, model, timeout_s)
    table = _choose(project, model)
    reference = model or table.name
    facts = _facts(project, table)
    _check_inputs(project, facts, inputs)
    known = _find_vector(project, reference, inputs)
    if known is not None:
        return [_run(project, known, timeout_s)]
    folder = _free_folder(project, reference)
    kept = {name: _keep(project, path, f"{folder}/{file_name(name)}", force=force) for name, path in inputs.items()}
    outputs = _output_files(facts, folder)
    for file in outputs.values():
        if project.place(file).exists() and not force:
            raise UsageError(f"{project.place(file)} is there already", remedy="move it away, or use --force")
    text = toml_edit.add_golden(project.file, reference, kept, outputs)
    engine, warnings = _interpret(project, table, kept, outputs, timeout_s)
    toml_edit.replace(project.file, text)
    return [Recorded(reference, kept, outputs, True, engine, warnings)]


def _record_again(project: Project, model: str | None, timeout_s: float) -> list[Recorded]:
    wanted = None if model is None else _choose(project, model)
    vectors = [v for v in project.golden if wanted is None or project.model(v.model) is wanted]
    if not vectors:
        raise UsageError(
            f"{project.file} has no golden vector to record again",
            remedy="give the inputs of a new one: lading golden record --input NAME=FILE.npy",
        )
    return [_run(project, vector, timeout_s) for vector in vectors]


def _run(project: Project, vector: GoldenTable, timeout_s: float) -> Recorded:
    table = project.model(vector.model)
    facts = _facts(project, table)
    _check_inputs(project, facts, {name: project.place(file) for name, file in vector.inputs.items()})
    for name in vector.outputs:
        if facts.output_named(name) is None:
            raise UsageError(
                f"{project.file}: the model has no output '{name}'",
                remedy=f"it has: {', '.join(output_labels(facts))}",
            )
    engine, warnings = _interpret(project, table, vector.inputs, vector.outputs, timeout_s)
    return Recorded(vector.model, vector.inputs, vector.outputs, False, engine, warnings)


def _choose(project: Project, model: str | None) -> ModelTable:
    if model is not None:
        return project.model(model)
    if len(project.models) != 1:
        names = ", ".join(m.name for m in project.models) or "none"
        raise UsageError(f"{project.file} has {len(project.models)} models", remedy=f"name one of: {names}")
    return project.models[0]


def _facts(project: Project, table: ModelTable) -> ModelFacts:
    if table.encoding != ENCODING:
        raise ModelError(
            f"model '{table.name}' has encoding {table.encoding}: golden vectors are recorded for TFLite models only",
            remedy="use a smoke run instead",
        )
    return read_facts(project.place(table.path), f"model '{table.name}'")


def _check_inputs(project: Project, facts: ModelFacts, inputs: Mapping[str, Path]) -> None:
    labels = input_labels(facts)
    has = ", ".join(shown(label, tensor) for label, tensor in zip(labels, facts.inputs, strict=True))
    given = set()
    for name, path in inputs.items():
        position = facts.input_named(name)
        if position is None:
            raise UsageError(f"the model has no input '{name}'", remedy=f"it has: {has}")
        if position in given:
            raise UsageError(f"input '{labels[position]}' is given twice", remedy=f"the model has: {has}")
        given.add(position)
        key = f"{project.file}: golden input '{name}'"
        check_fits(load_npy(path, key), facts.inputs[position], labels[position], key, path)
    missing = [label for position, label in enumerate(labels) if position not in given]
    if missing:
        raise UsageError(f"there is no file for input {', '.join(missing)}", remedy=f"the model has: {has}")


def _find_vector(project: Project, reference: str, inputs: Mapping[str, Path]) -> GoldenTable | None:
    """The vector of the project that has these inputs already."""
    wanted = {name: path.resolve() for name, path in inputs.items()}
    for vector in project.golden:
        files = {name: project.place(file).resolve() for name, file in vector.inputs.items()}
        if files == wanted and project.model(vector.model) is project.model(reference):
            return vector
    return None


def _free_folder(project: Project, reference: str) -> str:
    """A folder below ``golden/`` that no vector of the project writes to."""
    used = {Path(file).parent.as_posix() for vector in project.golden for file in vector.outputs.values()}
    base = f"golden/{_safe(reference)}"
    number = 1
    folder = base
    while folder in used:
        number += 1
        folder = f"{base}-{number}"
    return folder


def _keep(project: Project, path: Path, inside: str, *, force: bool) -> str:
    """How the project calls an input: as it lies, or as a copy when it lies elsewhere."""
    root = project.root.resolve()
    if path.resolve().is_relative_to(root):
        return path.resolve().relative_to(root).as_posix()
    target = project.place(inside)
    if target.exists() and not force and target.read_bytes() != path.read_bytes():
        raise UsageError(f"{target} is there already, with another content", remedy="move it away, or use --force")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    return inside


def _output_files(facts: ModelFacts, folder: str) -> dict[str, str]:
    files: dict[str, str] = {}
    for label in output_labels(facts):
        name = file_name(label)
        count = 1
        while f"{folder}/{name}" in files.values():
            count += 1
            name = file_name(f"{label}-{count}")
        files[label] = f"{folder}/{name}"
    return files


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:100] or "tensor"


def file_name(label: str) -> str:
    """The ``.npy`` file of a tensor."""
    return f"{_safe(label)}.npy"


def _interpret(
    project: Project, table: ModelTable, inputs: Mapping[str, str], outputs: Mapping[str, str], timeout_s: float
) -> tuple[str, tuple[str, ...]]:
    """Run the model once in a child process and put its outputs in place; engine and warnings come back."""
    with tempfile.TemporaryDirectory(prefix="lading-golden-") as scratch:
        folder = Path(scratch)
        made = {name: folder / f"{index}.npy" for index, name in enumerate(outputs)}
        job = {
            "model": str(project.place(table.path).resolve()),
            "threads": 1,
            "inputs": {name: str(project.place(file).resolve()) for name, file in inputs.items()},
            "outputs": {name: str(path) for name, path in made.items()},
            "result": str(folder / "result.json"),
        }
        result = _child(job, f"model '{table.name}'", timeout_s)
        warnings = tuple(
            f"output '{name}' holds values that are not finite" for name, path in made.items() if not _finite(path)
        )
        for name, path in made.items():
            target = project.place(outputs[name])
            target.parent.mkdir(parents=True, exist_ok=True)
            toml_edit.replace(target, path.read_bytes())
    return result, warnings


def _child(job: Mapping[str, object], what: str, timeout_s: float) -> str:
    try:
        done = run_job("lading.golden.interpret", job, timeout_s)
    except TimeoutError:
        raise ModelError(
            f"{what} did not come to an end within {timeout_s:g} s", remedy="give it more time, or a smaller input"
        ) from None
    if done.result is None:
        raise ModelError(
            f"the interpreter crashed on {what} ({done.ending})",
            remedy="convert the model again; what the interpreter said is in the details",
            details={"stderr": done.said},
        )
    if "error" in done.result:
        raise ModelError(f"the interpreter refuses {what}: {done.result['error']}", remedy="convert the model again")
    return str(done.result["engine"])


def _finite(path: Path) -> bool:
    import numpy as np

    array = np.load(path, allow_pickle=False)
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
