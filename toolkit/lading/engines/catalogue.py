"""The catalogue of engines: versions that work with the runner, and what exactly they are, in ``engines/*.toml``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lading import datafiles
from lading.engines.schema import SCHEMA, EngineTable, WheelTable
from lading.errors import NoSuchEngine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

KIND: Final = "engines"
NAMES: Final = ("wasmtime", "litert")
"""The engines that the runner takes, in the order in which they are listed."""


@dataclass(frozen=True)
class Engine:
    """One version of an engine."""

    path: Path
    origin: datafiles.Origin
    table: EngineTable

    @property
    def name(self) -> str:
        """One of :data:`NAMES`."""
        return self.table.name

    @property
    def version(self) -> str:
        """The version of the package that it comes from."""
        return self.table.version

    @property
    def reference(self) -> str:
        """``name==version``"""
        return f"{self.name}=={self.version}"

    @property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that it is known for."""
        return tuple(wheel.architecture for wheel in self.table.wheel)

    def wheel(self, architecture: str) -> WheelTable:
        """Where it comes from for an architecture.

        Raises:
            NoSuchEngine: it is not known for that one.
        """
        for wheel in self.table.wheel:
            if wheel.architecture == architecture:
                return wheel
        raise NoSuchEngine(
            f"there is no {self.name} {self.version} for {architecture}",
            remedy=f"it is known for {', '.join(self.architectures)}; on other boards use an installed runtime "
            '(runtime = "wasmedge" or "iwasm" in lading.toml)',
        )

    def minimums(self, architecture: str) -> dict[str, str]:
        """What a device of that architecture needs for it, see :func:`lading.engines.suit.fits`."""
        found: dict[str, Any] = datafiles.to_builtins(self.wheel(architecture).minimums)
        return {"architecture": architecture, **{name: version for name, version in found.items() if version}}


def load_all(project_dir: Path | None = None, *, skipped: datafiles.Skipped | None = None) -> list[Engine]:
    """Every engine of the catalogue, the newest version of each first.

    Args:
        project_dir: the project whose own files count as well.
        skipped: is told of each file that cannot be used, which then is not among the engines.

    Raises:
        DataFileError: a file of the catalogue is wrong, and there is no ``skipped``.
    """
    return _sorted(datafiles.usable(datafiles.search(KIND, project_dir).values(), _load, skipped).values())


def _sorted(found: Iterable[Engine]) -> list[Engine]:
    return sorted(found, key=lambda engine: (-NAMES.index(engine.name), ordered(engine.version)), reverse=True)


def find(name: str, version: str | None = None, project_dir: Path | None = None) -> Engine:
    """The engine of that name and version; without a version the one that is taken by default.

    Raises:
        NoSuchEngine: there is none.
        DataFileError: a file of that engine's is wrong.
    """
    # A file of another engine's is none of this one's business, whatever is wrong with it.
    files = [file for id_, file in datafiles.search(KIND, project_dir).items() if id_.startswith(f"{name}-")]
    named = _sorted(datafiles.usable(files, _load, None).values())
    if not named:
        raise NoSuchEngine(f"there is no engine {name!r}", remedy=f"engines are {' and '.join(NAMES)}")
    wanted = [e for e in named if e.version == version or (version is None and e.table.default)]
    if not wanted and version is None:
        wanted = named
    if not wanted:
        raise NoSuchEngine(
            f"{name} {version} is not in the catalogue of engines that work with the runner",
            remedy=f"it has {', '.join(engine.version for engine in named)}; add {name}-{version}.toml to "
            f"{datafiles.user_config_dir() / KIND} when you have tried another",
        )
    return wanted[0]


def choose(versions: Mapping[str, str] | None = None, project_dir: Path | None = None) -> tuple[Engine, ...]:
    """One of each engine: the versions that a bill asks for, the default ones otherwise.

    Raises:
        NoSuchEngine: what is asked for is not in the catalogue.
        DataFileError: a file of the catalogue is wrong.
    """
    asked = dict(versions or {})
    for name in asked:
        if name not in NAMES:
            raise NoSuchEngine(f"there is no engine {name!r}", remedy=f"engines are {' and '.join(NAMES)}")
    return tuple(find(name, asked.get(name), project_dir) for name in NAMES)


def ordered(version: str) -> tuple[tuple[int, str], ...]:
    """A version as something that sorts: numbers by value, words (of what comes before a release) before all else."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return (*((int(p), "") if p.isdigit() else (-1, p) for p in parts), (0, ""))


def _load(file: datafiles.DataFile) -> Engine:
    table = datafiles.load(file.path, EngineTable, schema=SCHEMA)
    where = str(file.path)
    if file.id != f"{table.name}-{table.version}":
        raise datafiles.invalid(
            where,
            "version",
            f"this file is for {table.name} {table.version}",
            remedy=f"call it {table.name}-{table.version}.toml",
        )
    if not table.wheel:
        raise datafiles.invalid(where, "wheel", "is empty", remedy="give a [[wheel]] for each architecture")
    architectures = [wheel.architecture for wheel in table.wheel]
    for index, wheel in enumerate(table.wheel):
        if architectures.index(wheel.architecture) != index:
            raise datafiles.invalid(
                where, f"wheel[{index}].architecture", f"'{wheel.architecture}' is there twice", remedy="give it once"
            )
        if wheel.library.stripped_size > wheel.library.size:
            raise datafiles.invalid(
                where, f"wheel[{index}].library.stripped-size", "is more than size", remedy="stripping only takes away"
            )
    return Engine(file.path, file.origin, table)
