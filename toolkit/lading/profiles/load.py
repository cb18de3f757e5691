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
    known = datafiles.search(KIND, project_dir)
    return _load(known[names.find(name, known, "profile")], known, project_dir)


def load_all(project_dir: Path | None = None) -> dict[str, FirmwareProfile]:
    """Every profile by its id.

    Raises:
        DataFileError: one of the files cannot be used.
    """
    known = files(project_dir)
    return {id_: _load(file, known, project_dir) for id_, file in known.items()}


def load_file(path: Path, project_dir: Path | None = None) -> FirmwareProfile:
    """Read one file, wherever it lies; what it extends is looked up as usual.

    Raises:
        DataFileError: names file, key, cause and remedy.
    """
    return _load(datafiles.DataFile(path.stem, path, "project"), files(project_dir), project_dir)


def _load(file: DataFile, files: Mapping[str, DataFile], project_dir: Path | None) -> FirmwareProfile:
    where = str(file.path)
    document = _merged(file, files, ())
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


def _merged(file: DataFile, files: Mapping[str, DataFile], below: tuple[str, ...]) -> dict[str, Any]:
    document = datafiles.read_toml(file.path)
    base = document.get("extends", "")
    if not base:
        return document
    where = str(file.path)
    if not isinstance(base, str) or base not in files:
        near = names.near(str(base), files)
        raise invalid(
            where,
            "extends",
            f"there is no profile {base!r}",
            remedy=f"did you mean {', '.join(near)}?" if near else "give the id of a profile",
        )
    if base == file.id or base in below or len(below) >= MOST_STEPS_UP:
        raise invalid(where, "extends", f"{base!r} leads in a circle, or too far", remedy="extend another profile")
    return _over(_merged(files[base], files, (*below, file.id)), document)


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
