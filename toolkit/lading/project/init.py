"""Makes a project of a module and models: one that packs as it stands, with hints for what only its author knows."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lading.errors import ModelError, ModuleError, ProjectError
from lading.project.load import PROJECT_FILE, load_project
from lading_agent.bill_reader import APP_NAME, MODEL_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lading.project.load import Project
    from lading_agent.nn.facts import ModelFacts, TensorFacts

FIRST_VERSION: Final = "0.1.0"


@dataclass(frozen=True)
class ModelSource:
    """A model file, and the name by which the guest loads it; the file's own name when it is empty."""

    path: Path
    name: str = ""


@dataclass(frozen=True)
class Initialized:
    """A project that was made."""

    project: Project
    copied: tuple[Path, ...]
    """Files that were copied into the project."""
    notes: tuple[str, ...]
    """What the author should look at."""


def init_project(
    folder: Path,
    module: Path,
    models: Sequence[ModelSource] = (),
    *,
    name: str | None = None,
    force: bool = False,
) -> Initialized:
    """Make a project in ``folder``.

    Args:
        folder: the project's folder; made when it is not there.
        module: the guest. It and the models are copied into the folder unless they are in it.
        models: the models.
        name: the app's name; made from the folder's when None.
        force: replace a ``lading.toml`` and files that are there already.

    Raises:
        ProjectError: something is in the way, or a name cannot be used.
        ModuleError: the guest is not a core module.
        ModelError: a model cannot be read.
    """
    from lading.bundle.cargo import check_module
    from lading.golden.model_io import read_facts

    file = folder / PROJECT_FILE
    if file.exists() and not force:
        raise ProjectError(f"{file} is there already", remedy="choose another folder, or use --force to replace it")
    if not module.is_file():
        raise ModuleError(f"{module} is not there", remedy="give the guest's .wasm file")
    check_module(module)
    app = name or _app_name(folder.resolve().name)
    if not APP_NAME.fullmatch(app):
        raise ProjectError(
            f"'{app}' cannot be the name of an app", remedy="use a-z, 0-9, '.', '_' and '-', at most 63 characters"
        )
    named: dict[str, tuple[Path, ModelFacts]] = {}
    for source in models:
        if not source.path.is_file():
            raise ModelError(f"{source.path} is not there", remedy="give the model's .tflite file")
        model = source.name or _model_name(source.path.stem)
        if not MODEL_NAME.fullmatch(model):
            raise ProjectError(
                f"'{model}' cannot be the name of a model", remedy="use letters, digits, '.', '_', '+' and '-'"
            )
        if model in named:
            raise ProjectError(f"two models are called '{model}'", remedy="give one another name: NAME=FILE")
        named[model] = (source.path, read_facts(source.path, f"model '{model}'"))

    places = _Places(folder, force=force)
    module_path = _text(places.place(module))
    text = _head(app, module_path)
    for model, (path, facts) in named.items():
        text += _model_table(model, _text(places.place(path)), facts)
    text += _hints()
    places.copy()
    file.write_text(text, encoding="utf-8")
    return Initialized(load_project(folder), tuple(places.copied), tuple(_notes(named)))


class _Places:
    """Decides how the project calls each file, and copies those that lie elsewhere once all is known to fit."""

    def __init__(self, folder: Path, *, force: bool) -> None:
        self._folder, self._force = folder, force
        self._copies: dict[Path, Path] = {}
        self.copied: list[Path] = []

    def place(self, path: Path) -> str:
        root = self._folder.resolve()
        if path.resolve().is_relative_to(root):
            return path.resolve().relative_to(root).as_posix()
        target = self._folder / path.name
        if target in self._copies.values() and self._copies.get(path.resolve()) != target:
            raise ProjectError(f"two files are called {path.name}", remedy="give one of them another name")
        if target.exists() and not self._force and not _same(path, target):
            raise ProjectError(
                f"{target} is there already, with another content",
                remedy="move it away, or use --force to replace it",
            )
        self._copies[path.resolve()] = target
        return path.name

    def copy(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for source, target in self._copies.items():
            if not target.exists() or not _same(source, target):
                shutil.copyfile(source, target)
                self.copied.append(target)


def _text(path: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in path):
        raise ProjectError(f"{path} has a name that is not UTF-8", remedy="rename it")
    return path


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()


def _app_name(stem: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:63] or "app"


def _model_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).lstrip(".+-")[:128] or "model"


def _head(app: str, module: str) -> str:
    from lading.golden.toml_edit import quoted

    return f"""\
schema = 1

[app]
name = {quoted(app)}
version = "{FIRST_VERSION}"
module = {quoted(module)}
# args = ["--fast"]     # what the guest gets after its own name
# timeout = "60s"       # default: 10 min
# memory = "64MiB"      # default: what the target allows
"""


def _model_table(name: str, path: str, facts: ModelFacts) -> str:
    from lading.golden.model_io import input_labels, output_labels
    from lading.golden.toml_edit import inline, quoted

    inputs = dict(zip(input_labels(facts), facts.inputs, strict=True))
    outputs = dict(zip(output_labels(facts), facts.outputs, strict=True))
    lines = [
        "",
        "[[model]]",
        f"name = {quoted(name)}             # what the guest's load_by_name asks for",
        'version = "1.0.0"',
        f"path = {quoted(path)}",
        'encoding = "tensorflowlite"',
    ]
    if _is_int8(facts):
        lines.append('int8 = "as-u8"          # the guest sends the same bytes as u8; "quantize-f32": it sends f32')
    lines += [f"# input  {_comment(label, tensor)}" for label, tensor in inputs.items()]
    lines += [f"# output {_comment(label, tensor)}" for label, tensor in outputs.items()]
    vector = f"golden/{name}"
    lines += [
        "",
        f"# A golden vector tells a device whether it computes right. To record one: save {_arrays(inputs)}, then",
        f"#   lading golden record --model {name} " + " ".join(f"--input {_word(n)}={_file(n)}" for n in inputs),
        "# [[golden]]",
        f"# model = {quoted(name)}",
        f"# inputs = {inline({n: f'{vector}/{_file(n)}' for n in inputs})}",
        f"# outputs = {inline({n: f'{vector}/{_file(n)}' for n in outputs})}",
        "# tolerance = 1         # quantization steps; atol and rtol for floats",
    ]
    return "\n".join(lines) + "\n"


def _hints() -> str:
    return """
# [[dir]]                 # shipped with the app, read-only on the device
# host = "data"
# guest = "/data"

# [[state]]               # writable on the device, survives releases
# guest = "/var"

# [[smoke]]               # a run of the guest that must go well before a release becomes current
# args = ["--self-test"]
# exit = 0
# stdout = "ok"           # a regular expression
"""


def _is_int8(facts: ModelFacts) -> bool:
    return any(tensor.dtype == "int8" for tensor in facts.inputs + facts.outputs)


def _comment(label: str, tensor: TensorFacts) -> str:
    quantization = f", scale {tensor.scale:.6g}, zero point {tensor.zero_point}" if tensor.quantized else ""
    return f"{_plain(label)}: {tensor.dtype} {list(tensor.shape)}{quantization}"


def _arrays(inputs: dict[str, TensorFacts]) -> str:
    return ", ".join(f"{_file(name)} ({t.dtype}, shape {list(t.shape)})" for name, t in inputs.items())


def _plain(label: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in label)


def _word(label: str) -> str:
    import shlex

    return shlex.quote(_plain(label))


def _file(label: str) -> str:
    from lading.golden.record import file_name

    return file_name(label)


def _notes(models: dict[str, tuple[Path, ModelFacts]]) -> list[str]:
    notes = [
        f"model '{name}' has int8 inputs or outputs, which wasi-nn cannot name: the guest is taken to send their bytes "
        'as u8; if it sends f32, set int8 = "quantize-f32"'
        for name, (_, facts) in models.items()
        if _is_int8(facts)
    ]
    if models:
        notes.append("there is no golden vector yet: lading.toml says how to record one")
    return notes
