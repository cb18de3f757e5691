"""JSON Schemas of the files that people write: firmware profiles, operator tables, targets, projects, devices."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from lading.units import Size

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

VENDOR_KEYS: Final = "^x-"
"""Keys that every reader ignores."""


def documents() -> dict[str, dict[str, Any]]:
    """A schema for each kind of file, by the name of its own file (``firmware-profile``, ``target``, …)."""
    from lading.devices.registry import DevicesTable
    from lading.engines.schema import EngineTable
    from lading.profiles.schema import FirmwareProfile, OperatorTable
    from lading.project.schema import ProjectTable
    from lading.targets.schema import TargetTable

    kinds: dict[str, tuple[type, str]] = {
        "firmware-profile": (FirmwareProfile, "A firmware profile: firmware_profiles/*.toml"),
        "operator-table": (OperatorTable, "The operators of a TFLite release: firmware_profiles/operators/*.toml"),
        "target": (TargetTable, "A kind of board: targets/*.toml"),
        "project": (ProjectTable, "A project: lading.toml"),
        "engine": (EngineTable, "A version of an engine of the native runner: engines/*.toml"),
        "devices": (DevicesTable, "Names of devices and groups: devices.toml"),
    }
    found = {name: _document(kind, title) for name, (kind, title) in kinds.items()}
    _allow_extending(found["firmware-profile"])
    return found


def _document(kind: type, title: str) -> dict[str, Any]:
    schema = msgspec.json.schema(kind, schema_hook=_own_types)
    _allow_vendor_keys(schema)
    return {"$schema": DIALECT, "title": title, **schema}


def _own_types(kind: type) -> dict[str, Any]:
    if kind is Size:
        return {
            "description": "Bytes: a number, or as in '512MiB', '16kB', '1.5GB'.",
            "anyOf": [
                {"type": "integer", "minimum": 0},
                {"type": "string", "pattern": r"^\s*[0-9]{1,18}(\.[0-9]{1,6})? ?([kKmMgGtT][iI]?)?[bB]?\s*$"},
            ],
        }
    raise NotImplementedError


def _allow_vendor_keys(schema: Any) -> None:
    """Tables refuse unknown keys, but those that start with ``x-``."""
    if isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            schema["patternProperties"] = {VENDOR_KEYS: {}}
        for value in schema.values():
            _allow_vendor_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            _allow_vendor_keys(value)


def _allow_extending(document: dict[str, Any]) -> None:
    """A profile that extends another says only what differs, and ``"none"`` where something goes."""
    rows = {"TensorRule", "KnownCrash"}  # lists are replaced whole
    for name, table in document["$defs"].items():
        if name not in rows:
            table["required"] = [
                key for key in table.get("required", ()) if name == "FirmwareProfile" and key == "schema"
            ]
            table["properties"] = {
                key: value if key in ("schema", "extends") else {"anyOf": [value, {"const": "none"}]}
                for key, value in table["properties"].items()
            }
            more = table.get("additionalProperties")
            if isinstance(more, dict):
                table["additionalProperties"] = {"anyOf": [more, {"const": "none"}]}
    for table in (t for n, t in document["$defs"].items() if n not in rows):
        for value in table["properties"].values():
            for choice in value.get("anyOf", ()):
                if isinstance(choice.get("additionalProperties"), dict):
                    choice["additionalProperties"] = {"anyOf": [choice["additionalProperties"], {"const": "none"}]}
