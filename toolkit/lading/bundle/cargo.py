"""What a project puts on board: files found and checked, contents hashed, warnings collected."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from lading.bundle import media
from lading.bundle.content import Bytes, FileContent
from lading.errors import ModuleError, ProjectError
from lading.files import open_regular
from lading_agent.bill import Blob, Directory, File, Golden, Tensor, VariantModel
from lading_agent.bill_reader import relative_path
from lading_agent.strictjson import Node, StrictJsonError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lading.project.load import Project
    from lading.project.schema import GoldenTable, ModelTable
    from lading_agent.nn.facts import ModelFacts, TensorFacts

WASM_MAGIC: Final = b"\0asm"
CORE_VERSION: Final = b"\1\0\0\0"
COMPONENT_LAYER: Final = b"\1\0"

_SPECIAL: Final = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class _Known(NamedTuple):
    """The inputs or the outputs of a model."""

    tensors: tuple[TensorFacts, ...]
    labels: tuple[str, ...]
    position: Callable[[str], int | None]


@dataclass
class Cargo:
    """Collects contents by digest, and what deserves a warning."""

    project: Project
    step: Callable[[int], None]
    contents: dict[str, Bytes | FileContent] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    _facts: dict[Path, ModelFacts] = field(default_factory=dict)

    def module(self) -> Blob:
        """The guest.

        Raises:
            ModuleError: it is not a core module.
        """
        path = self.project.place(self.project.app.module)
        content = self._file(path, "the module")
        check_module(path)
        return Blob(content.digest, content.size)

    def model(self, table: ModelTable) -> VariantModel:
        """A model.

        Raises:
            ModelError: it is not of its encoding.
        """
        from lading.golden.model_io import ENCODING, read_facts

        path = self.project.place(table.path)
        content = self._file(path, f"model '{table.name}'")
        if table.encoding == ENCODING:
            self._facts[path] = read_facts(path, f"model '{table.name}'")
        return VariantModel(table.name, table.version, content.digest, content.size)

    def directory(self, host: str, guest: str) -> Directory:
        """A folder with everything below it, sorted; hidden files too, bundles not.

        Raises:
            ProjectError: the folder is missing, or holds what cannot be shipped.
        """
        root = self.project.place(host)
        if not root.is_dir():
            raise ProjectError(f"{root} is not a folder", remedy=f"correct dir.host for {guest} in lading.toml")
        files, hidden = [], []
        for path, name in self._walk(root):
            content = self._file(path, f"a file of {guest}")
            files.append(File(name, content.digest, content.size, os.access(path, os.X_OK)))
            if any(part.startswith(".") for part in name.split("/")):
                hidden.append(name)
        if hidden:
            more = f" and {len(hidden) - 3} more" if len(hidden) > 3 else ""
            self.warnings.append(f"{guest} ships hidden files: {', '.join(hidden[:3])}{more}")
        if not files:
            self.warnings.append(f"{guest} is empty: {root} holds no file")
        return Directory(guest, tuple(sorted(files, key=lambda file: file.path)))

    def golden(self, table: GoldenTable, index: int) -> Golden:
        """A golden vector, its tensors compared with the model's.

        Raises:
            ProjectError: a tensor is missing, or has another name, type or shape than the model's.
        """
        from lading.golden.model_io import input_labels, output_labels

        facts = self._facts.get(self.project.place(self.project.model(table.model).path))
        key = f"{self.project.file}: golden[{index}]"
        known_inputs = _Known(facts.inputs, input_labels(facts), facts.input_named) if facts else None
        known_outputs = _Known(facts.outputs, output_labels(facts), facts.output_named) if facts else None
        inputs = self._tensors(table.inputs, known_inputs, f"{key}.inputs")
        outputs = self._tensors(table.outputs, known_outputs, f"{key}.outputs")
        if known_inputs:
            given = {known_inputs.position(name) for name in table.inputs}
            missing = [label for position, label in enumerate(known_inputs.labels) if position not in given]
            if missing:
                raise ProjectError(
                    f"{key}.inputs: lacks {', '.join(missing)}", remedy="give a file for each input of the model"
                )
        return Golden(table.model, inputs, outputs, table.tolerance, table.atol, table.rtol)

    def _tensors(self, files: dict[str, str], known: _Known | None, key: str) -> tuple[Tensor, ...]:
        from lading.golden.tensors import check_fits, load_npy, raw

        tensors = []
        for name, file in sorted(files.items()):
            path = self.project.place(file)
            array = load_npy(path, f"{key}.{name}")
            if known is not None:
                position = known.position(name)
                if position is None:
                    raise ProjectError(
                        f"{key}.{name}: the model has no such tensor", remedy=f"it has: {', '.join(known.labels)}"
                    )
                check_fits(array, known.tensors[position], name, f"{key}.{name}", path)
            content = Bytes.of(raw(array))
            self.keep(content)
            tensors.append(Tensor(name, array.dtype.name, tuple(array.shape), content.digest, content.size))
        return tuple(tensors)

    def _file(self, path: Path, what: str) -> FileContent:
        content = FileContent.hashed(path, what, self.step)
        self.keep(content)
        return content

    def keep(self, content: Bytes | FileContent) -> None:
        """Take a content on board."""
        self.contents.setdefault(content.digest, content)

    def read(self, digest: str) -> bytes:
        """All of a content that is on board."""
        return self.contents[digest].read()

    def _walk(self, root: Path) -> Iterator[tuple[Path, str]]:
        """Every file below ``root`` with its name in the guest, in order."""
        pending = [(root, "")]
        while pending:
            folder, prefix = pending.pop()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            for entry in entries:
                name = prefix + entry.name
                path = folder / entry.name
                if entry.is_symlink():
                    raise ProjectError(
                        f"{path} is a symbolic link; what links point to depends on the machine, so none is shipped",
                        remedy="put the file itself there",
                    )
                if entry.is_dir(follow_symlinks=False):
                    pending.append((path, f"{name}/"))
                    continue
                mode = entry.stat(follow_symlinks=False).st_mode
                special = next((what for is_one, what in _SPECIAL if is_one(mode)), "")
                if special:
                    raise ProjectError(f"{path} is {special}; only files can be shipped", remedy="take it away")
                if name.endswith(media.SUFFIX):
                    continue
                self._check_name(path, name)
                yield path, name

    def _check_name(self, path: Path, name: str) -> None:
        try:
            name.encode()
            relative_path(Node(name, str(path)))
        except UnicodeEncodeError:
            raise ProjectError(f"{path!s:.200} has a name that is not UTF-8", remedy="rename it") from None
        except StrictJsonError as error:
            raise ProjectError(f"{path}: its name {error.message}", remedy="rename it") from None


def check_module(path: Path) -> None:
    """Refuse what is not a core WebAssembly module.

    Raises:
        ModuleError: says what it is instead.
    """
    try:
        with open_regular(path) as file:
            head = file.read(8)
    except OSError as error:
        raise ModuleError(f"{path} cannot be read: {error.strerror}", remedy="give the guest's .wasm file") from None
    if head == WASM_MAGIC + CORE_VERSION:
        return
    if head[:4] == WASM_MAGIC and head[6:8] == COMPONENT_LAYER:
        raise ModuleError(
            f"{path} is a WebAssembly component; guests are core modules",
            remedy="build for WASI preview 1 (target wasm32-wasip1) and leave out the componentizing step",
        )
    if head[:4] == WASM_MAGIC:
        raise ModuleError(
            f"{path} is WebAssembly of version {int.from_bytes(head[4:8], 'little')}, not 1",
            remedy="build it with a current toolchain for wasm32-wasip1",
        )
    raise ModuleError(
        f"{path} is not a WebAssembly module: it does not begin with '\\0asm'",
        remedy="give the compiled .wasm file (text in .wat must be assembled first)",
    )
