"""Calls and models as JSON, for traces: what a host saw is written down so that a prediction can read it again.

Fields are taken as the classes have them, so that a step of the rules that looks at a new field of a call finds it in a
trace as well. Bytes become hexadecimal digits, numbers that JSON has no word for become text.
"""

from __future__ import annotations

import math
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Dict, Mapping, Type, TypeVar

from lading_agent.nn.calls import Call
from lading_agent.nn.facts import ModelFacts, OperatorFacts, TensorFacts

T = TypeVar("T")

_TYPES = {f.name: str(f.type) for f in fields(Call)}

_ITEMS: Mapping[str, Any] = {"inputs": TensorFacts, "outputs": TensorFacts, "operators": OperatorFacts}


class BadTrace(ValueError):
    """A trace that says something impossible."""


def call_to_json(call: Call) -> Dict[str, Any]:
    """A call without what has its default value."""
    doc: Dict[str, Any] = {}
    for f in fields(call):
        value = getattr(call, f.name)
        if f.name == "ranges":
            doc["ranges"] = {what: list(where) for what, where in value.items()}
        elif f.name == "args":
            doc["args"] = dict(value)
        elif not _is_default(f, value):
            doc[f.name] = _plain(value)
    return doc


def call_from_json(doc: Mapping[str, Any]) -> Call:
    """Read what :func:`call_to_json` wrote.

    Raises:
        BadTrace: it is something else.
    """
    values: Dict[str, Any] = {}
    try:
        for key, value in doc.items():
            if key not in _TYPES:
                raise BadTrace(f"a call has the unknown key {key!r}")
            if key == "args":
                values[key] = {str(name): _u32(number) for name, number in value.items()}
            elif key == "ranges":
                values[key] = {str(what): (_u32(at), _count(length)) for what, (at, length) in value.items()}
            elif key == "function":
                values[key] = str(value)
            elif "bytes" in _TYPES[key]:
                values[key] = bytes.fromhex(value)
            elif "FrozenSet" in _TYPES[key]:
                values[key] = frozenset(map(str, value))
            elif isinstance(value, list):
                values[key] = tuple(_u32(n) for n in value)
            elif isinstance(value, bool):
                values[key] = value
            else:
                values[key] = _count(value)
        return Call(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadTrace(f"a call cannot be read: {error}") from error


def facts_to_json(facts: ModelFacts) -> Dict[str, Any]:
    """Facts of a model."""
    return {f.name: _plain(getattr(facts, f.name)) for f in fields(facts)}


def facts_from_json(doc: Mapping[str, Any]) -> ModelFacts:
    """Read what :func:`facts_to_json` wrote.

    Raises:
        BadTrace: it is something else.
    """
    try:
        values = dict(doc)
        for key, kind in _ITEMS.items():
            values[key] = tuple(_item(kind, item) for item in values.get(key, ()))
        return ModelFacts(**values)
    except (TypeError, ValueError, AttributeError) as error:
        raise BadTrace(f"a model cannot be read: {error}") from error


def _item(kind: Type[T], doc: Mapping[str, Any]) -> T:
    values: Dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in doc.items()}
    scale = values.get("scale")
    if isinstance(scale, str):
        values["scale"] = float(scale)
    return kind(**values)


def _is_default(f: Field[Any], value: Any) -> bool:
    if f.default is not MISSING:
        return bool(value == f.default)
    return f.default_factory is not MISSING and bool(value == f.default_factory())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def _u32(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 0xFFFFFFFF:
        raise BadTrace(f"{value!r} is no unsigned 32-bit number")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise BadTrace(f"{value!r} is no count")
    return value
