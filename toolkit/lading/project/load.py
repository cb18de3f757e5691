"""Loads a project: the file's tables, and the places that they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lading import datafiles
from lading.errors import DataFileError, ProjectError
from lading.project import rules
from lading.project.schema import FROM_DEVICE, SCHEMA, ProjectTable

if TYPE_CHECKING:
    from lading.project.schema import (
        AppTable,
        DirTable,
        GoldenTable,
        ModelTable,
        PackTable,
        SmokeTable,
        StateTable,
    )

PROJECT_FILE: Final = "lading.toml"


@dataclass(frozen=True)
class Project:
    """A folder with a ``lading.toml`` that keeps to its schema. The files that it names have not been looked at."""

    root: Path
    table: ProjectTable

    @property
    def file(self) -> Path:
        """The ``lading.toml``."""
        return self.root / PROJECT_FILE

    @property
    def app(self) -> AppTable:
        """``[app]``"""
        return self.table.app

    @property
    def dirs(self) -> list[DirTable]:
        """``[[dir]]``"""
        return self.table.dir

    @property
    def state(self) -> list[StateTable]:
        """``[[state]]``"""
        return self.table.state

    @property
    def models(self) -> list[ModelTable]:
        """``[[model]]``"""
        return self.table.model

    @property
    def golden(self) -> list[GoldenTable]:
        """``[[golden]]``"""
        return self.table.golden

    @property
    def smoke(self) -> list[SmokeTable]:
        """``[[smoke]]``"""
        return self.table.smoke

    @property
    def pack(self) -> PackTable:
        """``[pack]``"""
        return self.table.pack

    @property
    def env(self) -> dict[str, str]:
        """Environment variables with the values that the project gives them."""
        return {name: value for name, value in self.app.env.items() if isinstance(value, str)}

    @property
    def env_from_device(self) -> list[str]:
        """Environment variables whose values only the device knows."""
        value = self.app.env.get(FROM_DEVICE, [])
        return list(value) if isinstance(value, list) else []

    @property
    def engines(self) -> dict[str, str]:
        """Versions of engines that the project asks for, by name."""
        asked = {"wasmtime": self.table.engines.wasmtime, "litert": self.table.engines.litert}
        return {name: version for name, version in asked.items() if version is not None}

    @property
    def timeout_s(self) -> float | None:
        """How long a run may take."""
        return None if self.app.timeout is None else rules.seconds(self.app.timeout)

    def place(self, path: str) -> Path:
        """The file that the project calls ``path``: relative to its folder."""
        return self.root / path

    def model(self, reference: str) -> ModelTable:
        """The model of that name, or ``name@version``.

        Raises:
            ProjectError: there is none, or there are several versions.
        """
        try:
            return rules.find_model(self.models, reference)
        except LookupError as error:
            why, remedy = error.args
            raise ProjectError(f"{self.file}: {why}", remedy=remedy) from None


def load_project(path: Path | str) -> Project:
    """Load a project from its folder, or from the ``lading.toml`` itself.

    Raises:
        ProjectError: names file, key, cause and remedy.
    """
    path = Path(path)
    file = path if path.name == PROJECT_FILE and not path.is_dir() else path / PROJECT_FILE
    if not file.is_file():
        raise ProjectError(
            f"{path} is not a project: there is no {PROJECT_FILE}",
            remedy="give the project's folder; `lading init` makes a project",
        )
    try:
        table = datafiles.load(file, ProjectTable, schema=SCHEMA)
    except DataFileError as error:
        raise ProjectError(error.message, remedy=error.remedy, details=error.details) from None
    rules.check(table, str(file))
    return Project(file.parent, table)
