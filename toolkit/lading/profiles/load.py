"""Finding and reading firmware profiles: project before user before shipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from lading import datafiles, names
from lading.datafiles import invalid
from lading.profiles.rules import check
from lading.profiles.schema import FirmwareProfile, OperatorTable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lading.datafiles import DataFile

KIND = "firmware_profiles"
OPERATORS = f"{KIND}/operators"
SCHEMA = 1
MOST_STEPS_UP = 8
"""How long a chain of ``extends`` may be."""


def files(project_dir: Path | None = None) -> dict[str, DataFile]:
    """The files of all profiles that can be found, by id: where each lies and who put it there."""
    return dict(datafiles.search(KIND, project_dir))


def ids(project_dir: Path | None = None) -> list[str]:
    """The ids of all profiles that can be found."""
    return list(datafiles.search(KIND, project_dir))


def find(name: str, project_dir: Path | None = None) -> FirmwareProfile:
    """The profile of that name, or of that unique prefix.

    Raises:
        NameNotFound: there is none; near ones are listed.
        NameNotUnique: several begin so.
        DataFileError: its file cannot be used.
    """
    known = files(project_dir)
    return _load(known[names.find(name, known, "profile")], _Bases(project_dir), project_dir)


def load_all(
    project_dir: Path | None = None, *, skipped: datafiles.Skipped | None = None
) -> dict[str, FirmwareProfile]:
    """Every profile by its id.

    Args:
        project_dir: the project whose own profiles count as well.
        skipped: is told of each file that cannot be used, which then is not among the profiles.

    Raises:
        DataFileError: one of the files cannot be used, and there is no ``skipped``.
    """
    bases = _Bases(project_dir)
    found = datafiles.usable(files(project_dir).values(), lambda file: _load(file, bases, project_dir), skipped)
    datafiles.tell_misnamed(KIND, project_dir, skipped)
    return found


def shipped(id_: str) -> FirmwareProfile:
    """The profile of that id that comes with lading, whatever hides it.

    Raises:
        KeyError: none does.
    """
    bases = _Bases(None)
    return _load(bases.shipped(id_), bases, None)


def load_file(path: Path, project_dir: Path | None = None) -> FirmwareProfile:
    """Read one file, wherever it lies; what it extends is looked up as usual.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    return _load(datafiles.data_file(path, KIND, "project"), _Bases(project_dir), project_dir)


class _Bases:
    """Which file an ``extends`` means.

    A shipped file extends shipped ones only: a user's file of the same id changes nothing below it. A file that extends
    its own id means the one that it hides.
    """

    def __init__(self, project_dir: Path | None) -> None:
        self._layers = datafiles.layers(KIND, project_dir)

    def find(self, id_: str, of: DataFile) -> DataFile | None:
        """What ``of`` means by ``id_``; None if there is no such file."""
        origins = list(self._layers)
        if of.origin == "shipped" or (id_ == of.id and of.origin in origins):
            origins = origins[origins.index(of.origin) :]
        found = (self._layers[origin].get(id_) for origin in origins)
        return next((file for file in found if file is not None and not _same(file, of)), None)

    def shipped(self, id_: str) -> DataFile:
        """The file of that id that comes with lading."""
        return self._layers["shipped"][id_]

    def ids(self) -> set[str]:
        """Every id there is."""
        return {id_ for files in self._layers.values() for id_ in files}


def _same(one: DataFile, other: DataFile) -> bool:
    return one.path.resolve() == other.path.resolve()


def _load(file: DataFile, bases: _Bases, project_dir: Path | None) -> FirmwareProfile:
    where = str(file.path)
    document = _merged(file, bases, ())
    profile = datafiles.decode(document, FirmwareProfile, where=where, schema=SCHEMA)
    if profile.id and profile.id != file.id:
        raise invalid(where, "id", f"the file is named {file.id}", remedy="leave 'id' away: it is the file's name")
    operators = _operators(profile, where, project_dir) if profile.operator_table else profile.operators
    profile = msgspec.structs.replace(profile, id=file.id, operators=operators)
    check(profile, where)
    return profile


def _operators(profile: FirmwareProfile, where: str, project_dir: Path | None) -> dict[str, int]:
    tables = datafiles.search(OPERATORS, project_dir)
    found = tables.get(profile.operator_table)
    if found is None:
        near = names.near(profile.operator_table, tables)
        raise invalid(
            where,
            "operator-table",
            f"there is no table {profile.operator_table!r} in {OPERATORS}",
            remedy=f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(tables) or 'none'}",
        )
    return {**datafiles.load(found.path, OperatorTable, schema=SCHEMA).versions, **profile.operators}


def _merged(file: DataFile, bases: _Bases, above: tuple[DataFile, ...]) -> dict[str, Any]:
    document = datafiles.read_toml(file.path)
    base = document.get("extends", "")
    if not base:
        return document
    where = str(file.path)
    # Each file answers for its own number: merged, a base's would hide that one is missing, and the other way round.
    datafiles.check_schema(document, where=where, schema=SCHEMA)
    found = bases.find(base, file) if isinstance(base, str) else None
    above = (*above, file)
    if (found is None and base == file.id) or (found is not None and any(_same(found, one) for one in above)):
        raise invalid(where, "extends", f"{base!r} leads in a circle", remedy="extend another profile")
    if found is None:
        near = names.near(str(base), bases.ids())
        raise invalid(
            where,
            "extends",
            f"there is no profile {base!r}",
            remedy=f"did you mean {', '.join(near)}?" if near else "give the id of a profile",
        )
    if len(above) > MOST_STEPS_UP:
        raise invalid(
            where, "extends", f"more than {MOST_STEPS_UP} profiles extend one another", remedy="extend a nearer one"
        )
    under = _merged(found, bases, above)
    datafiles.check_schema(under, where=str(found.path), schema=SCHEMA)
    return _over(under, document)


def _over(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Tables merge key by key; everything else replaces; ``"none"`` for a list, table or number takes it away."""
    merged = dict(base)
    for key, value in change.items():
        if value == "none" and isinstance(base.get(key), list | dict | int):
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _over(base[key], value)
        else:
            merged[key] = value
    return merged
